import { useId } from 'react';
import { useTranslation } from 'react-i18next';
import { useFormat } from '@/shared/format';
import { Button } from '@/shared/ui';
import type { Entry } from './journal';
import css from './runs.module.css';

interface SliderProps {
  entries: readonly Entry[];
  total: number;
  /** Number of the event that is looked at; undefined follows the newest. */
  at: number | undefined;
  onMove: (at: number | undefined) => void;
}

/** Goes back to any event of the run: everything else shows how things stood then. */
export function Slider({ entries, total, at, onMove }: SliderProps) {
  const { t } = useTranslation('runs');
  const { number, time } = useFormat();
  const id = useId();
  const count = Math.max(1, total);
  const value = Math.min(at ?? count, count);
  const entry = entries[value - 1];
  const told = entry ? `${entry.type}, ${time(entry.at)}` : t('slider.loading');
  const move = (to: number) => onMove(to >= count ? undefined : Math.max(1, to));
  return (
    <div className={css.slider}>
      <label htmlFor={id} className={css.sliderName}>
        {t('slider.label')}
      </label>
      <Button look="quiet" onClick={() => move(value - 1)} disabled={value <= 1} aria-label={t('slider.back')}>
        <span aria-hidden="true" className={css.arrow}>‹</span>
      </Button>
      <input
        id={id}
        type="range"
        min={1}
        max={count}
        value={value}
        aria-valuetext={`${t('slider.of', { at: number(value), total: number(count) })}, ${told}`}
        onChange={(event) => move(Number(event.target.value))}
      />
      <Button look="quiet" onClick={() => move(value + 1)} disabled={value >= count} aria-label={t('slider.forward')}>
        <span aria-hidden="true" className={css.arrow}>›</span>
      </Button>
      <Button onClick={() => onMove(undefined)} disabled={at === undefined}>
        {t('slider.newest')}
      </Button>
      <output htmlFor={id} className={css.sliderTold}>
        <span>{t('slider.of', { at: number(value), total: number(count) })}</span>
        <span className={css.soft}>{told}</span>
      </output>
    </div>
  );
}
