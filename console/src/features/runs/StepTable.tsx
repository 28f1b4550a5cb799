import { useMemo } from 'react';
import { useTranslation } from 'react-i18next';
import { useFormat } from '@/shared/format';
import { DataTable, type Column } from '@/shared/ui';
import { barsOf, tookMs, type Bar } from './bars';
import { Cost } from './Cost';
import { markAt, type Step } from './journal';
import css from './runs.module.css';
import { StepStatus } from './status';

export interface Moment {
  /** Place in the journal up to which things are shown. */
  index: number;
  /** What is still going on goes on until then. */
  now: number;
  from: number;
}

interface StepTableProps {
  steps: readonly Step[];
  moment: Moment;
  show: 'both' | 'table' | 'timeline';
  selected: string | undefined;
  onOpen: (step: Step) => void;
  onSelect: (step: Step) => void;
  onEnd: () => void;
}

/** The steps of a run in the order they began, in words, as bars in time, or both. */
export function StepTable({ steps, moment, show, selected, onOpen, onSelect, onEnd }: StepTableProps) {
  const { t } = useTranslation('runs');
  const format = useFormat();
  const { index, now, from } = moment;
  const length = Math.max(1, now - from);
  const columns = useMemo(() => {
    const name: Column<Step> = {
      id: 'name',
      title: t('column.step'),
      width: show === 'timeline' ? 'minmax(96px, 2fr)' : 'minmax(120px, 3fr)',
      cell: (one) => <span title={one.name} className={css.strong}>{one.name}</span>,
    };
    const words: Column<Step>[] = [
      { id: 'position', title: t('column.position'), width: '72px', wideOnly: true, cell: (one) => <code className={css.code}>{one.position}</code> },
      name,
      { id: 'status', title: t('column.status'), width: '116px', cell: (one) => <StepStatus status={markAt(one, index).status} /> },
    ];
    const figures: Column<Step>[] = [
      { id: 'took', title: t('column.took'), width: '72px', align: 'end', cell: (one) => format.duration(tookMs(one, index, now)) },
      { id: 'attempts', title: t('column.tries'), width: '48px', align: 'end', wideOnly: true, cell: (one) => (one.attempts > 1 ? `×${one.attempts}` : '') },
      { id: 'cost', title: t('column.cost'), width: '72px', align: 'end', wideOnly: true, cell: (one) => <Cost micros={one.cost} /> },
    ];
    const line: Column<Step> = {
      id: 'time',
      title: t('column.timeline', { length: format.duration(length) }),
      width: show === 'both' ? 'minmax(200px, 5fr)' : 'minmax(120px, 3fr)',
      cell: (one) => <Track bars={barsOf(one, index, now)} from={from} length={length} took={format.duration(tookMs(one, index, now))} tries={one.attempts} />,
    };
    return show === 'table' ? [...words, ...figures] : show === 'timeline' ? [name, line] : [...words, line, ...figures];
    // `format` is made anew with every drawing; the language decides.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [show, index, now, from, length, t, format.locale]);
  return (
    <DataTable
      label={t('steps')}
      rows={steps}
      columns={columns}
      keyOf={(one) => one.position}
      selected={selected}
      onSelect={onSelect}
      onOpen={onOpen}
      onEnd={onEnd}
      rowHeight={30}
    />
  );
}

function Track({ bars, from, length, took, tries }: { bars: readonly Bar[]; from: number; length: number; took: string; tries: number }) {
  return (
    <div className={css.track} title={tries > 1 ? `${took} ×${tries}` : took}>
      {bars.map((bar, at) => (
        <span
          key={at}
          className={`${css.bar} ${css[bar.kind]} ${tries > 1 ? css.again : ''}`}
          style={{
            insetInlineStart: `min(${Math.max(0, ((bar.from - from) / length) * 100)}%, 100% - 2px)`,
            inlineSize: `${Math.max(0, Math.min(1, (bar.to - bar.from) / length)) * 100}%`,
          }}
        />
      ))}
    </div>
  );
}
