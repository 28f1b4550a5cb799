import { useTranslation } from 'react-i18next';
import { Link, useSearchParams } from 'react-router';
import { useReading, type Output } from '@/shared/api';
import { useFormat } from '@/shared/format';
import { Badge, Failure, Loading, Money, Section, Select, ShortTable, type Column } from '@/shared/ui';
import css from './Cost.module.css';
import { moneys } from './money';

export const GROUPS = ['agent', 'model', 'step', 'run'] as const;
export type Group = (typeof GROUPS)[number];
type Line = Output<'cost.show'>['items'][number];

const SHOWN = 100;

export function useGroup(): [Group, (group: Group) => void] {
  const [search, setSearch] = useSearchParams();
  const asked = GROUPS.find((one) => one === search.get('by')) ?? 'agent';
  return [asked, (by) => setSearch({ by }, { replace: true })];
}

export function Moneys({ cost }: { cost: Line['cost'] }) {
  const found = moneys(cost);
  if (found.length === 0) return <>–</>;
  return (
    <>
      {found.map((one) => (
        <Money key={one.currency} value={one} className={css.money!} />
      ))}
    </>
  );
}

/** Who or what the money went to. */
export function Spending() {
  const { t } = useTranslation('cost');
  const { number } = useFormat();
  const [by, setBy] = useGroup();
  const { data, error, refetch } = useReading('cost.show', { by }, { live: ['step.', 'run.'] });
  const columns: Column<Line>[] = [
    { id: 'name', title: t(`by.${by}`), cell: (one) => (by === 'run' ? <Link to={`/runs/${encodeURIComponent(one.name)}`} className={css.scope}>{one.name}</Link> : one.name) },
    { id: 'calls', title: t('calls'), align: 'end', cell: (one) => number(one.calls ?? 0) },
    { id: 'in', title: t('tokensIn'), align: 'end', wideOnly: true, cell: (one) => number(one.input_tokens ?? 0) },
    { id: 'out', title: t('tokensOut'), align: 'end', wideOnly: true, cell: (one) => number(one.output_tokens ?? 0) },
    { id: 'unknown', title: t('unpriced'), align: 'end', wideOnly: true, cell: (one) => (one.unknown ? <Badge tone="warn">{number(one.unknown)}</Badge> : '–') },
    { id: 'cost', title: t('spent'), align: 'end', cell: (one) => <Moneys cost={one.cost} /> },
  ];
  return (
    <Section
      title={t('spending')}
      aside={
        <Select quiet label={t('group')} value={by} onChange={(event) => setBy(event.target.value as Group)}>
          {GROUPS.map((one) => (
            <option key={one} value={one}>
              {t(`by.${one}`)}
            </option>
          ))}
        </Select>
      }
    >
      {error ? (
        <Failure error={error} retry={() => void refetch()} />
      ) : !data ? (
        <Loading rows={5} />
      ) : (
        <>
          <ShortTable label={t('spending')} rows={data.items.slice(0, SHOWN)} columns={columns} keyOf={(one) => one.name} empty={t('none')} />
          {data.items.length > SHOWN && <p className={css.more}>{t('more', { count: data.items.length - SHOWN })}</p>}
        </>
      )}
    </Section>
  );
}
