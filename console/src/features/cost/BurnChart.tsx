import { useEffect, useRef } from 'react';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { useFormat } from '@/shared/format';
import type { Burn } from './burn';
import css from './Cost.module.css';

const HEIGHT = 200;
const COLOURS = ['--accent', '--good', '--warn', '--info', '--bad'];

function token(name: string): string {
  const probe = document.createElement('span');
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

function optionsOf(burn: Burn, width: number, locale: string): uPlot.Options {
  const text = token('--text-faint');
  const grid = { stroke: token('--line'), width: 1 };
  const axis = { stroke: text, grid, ticks: { show: false }, font: '11px system-ui' };
  const number = new Intl.NumberFormat(locale, { maximumFractionDigits: 4 });
  const [from = 0, to = 0] = [burn.at[0], burn.at.at(-1)];
  const time = new Intl.DateTimeFormat(locale, to - from > 86_400 ? { dateStyle: 'short' } : { timeStyle: 'medium' });
  return {
    width,
    height: HEIGHT,
    legend: { show: false },
    cursor: { drag: { x: false, y: false } },
    scales: { x: { time: true }, y: { range: (_, low, high) => (high > 0 ? [Math.min(0, low) - high * 0.03, high * 1.1] : [-0.03, 1]) } },
    axes: [
      { ...axis, space: 90, values: (_, marks) => marks.map((one) => time.format(one * 1_000)) },
      { ...axis, size: 64, values: (_, marks) => marks.map((one) => number.format(one)) },
    ],
    series: [
      {},
      ...burn.lines.map((line, index) => {
        const stroke = token(COLOURS[index % COLOURS.length]!);
        return { label: line.currency, stroke, width: 2, points: { show: false }, ...(uPlot.paths.stepped && { paths: uPlot.paths.stepped({ align: 1 }) }) };
      }),
    ],
  };
}

/** What was spent in all by when. The table below the picture says the same in numbers. */
export default function BurnChart({ burn, label }: { burn: Burn; label: string }) {
  const { locale } = useFormat();
  const ref = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const place = ref.current;
    if (!place) return;
    let plot: uPlot | undefined;
    const draw = () => {
      plot?.destroy();
      const data = [burn.at, ...burn.lines.map((line) => line.total)] as uPlot.AlignedData;
      plot = new uPlot(optionsOf(burn, place.clientWidth, locale), data, place);
    };
    const width = new ResizeObserver(draw);
    width.observe(place);
    const theme = new MutationObserver(draw);
    theme.observe(document.documentElement, { attributes: true, attributeFilter: ['data-theme'] });
    return () => {
      width.disconnect();
      theme.disconnect();
      plot?.destroy();
    };
  }, [burn, locale]);
  return <div ref={ref} role="img" aria-label={label} className={css.chart} dir="ltr" />;
}
