import { lazy, Suspense, useMemo } from 'react';
import { useTranslation } from 'react-i18next';
import { useReading } from '@/shared/api';
import { useFormat } from '@/shared/format';
import { Failure, Figures, Loading, Page, Section, useNow } from '@/shared/ui';
import { Budgets } from './Budgets';
import { burnOf } from './burn';
import css from './Cost.module.css';
import { moneys } from './money';
import { Moneys, Spending } from './Spending';

const BurnChart = lazy(() => import('./BurnChart'));
const RUNS = 500;
const MINUTE = 60_000;

function Burning() {
  const { t } = useTranslation('cost');
  const { money } = useFormat();
  const { data, error, refetch } = useReading('runs.list', { limit: RUNS }, { live: ['run.'] });
  const minute = Math.floor(useNow() / MINUTE) * MINUTE;
  const burn = useMemo(() => burnOf(data?.items ?? [], minute), [data, minute]);
  if (error) return <Failure error={error} retry={() => void refetch()} />;
  if (!data) return <Loading rows={5} />;
  if (burn.at.length === 0) return <p className={css.more}>{t('none')}</p>;
  const sums = burn.lines.map((one) => money(moneys({ [one.currency]: String(one.total.at(-1) ?? 0) })[0]!));
  return (
    <Suspense fallback={<div className={css.chart} />}>
      <BurnChart burn={burn} label={t('burnOf', { runs: data.items.length, sums: sums.join(', ') })} />
    </Suspense>
  );
}

/** What the work costs: in all, over time, by whom, and against which limits. */
export function Component() {
  const { t } = useTranslation('cost');
  const { number } = useFormat();
  const { data } = useReading('cost.show', { by: 'agent' }, { live: ['step.', 'run.'] });
  return (
    <Page title={t('title')}>
      <Figures
        items={[
          { id: 'spent', name: t('spent'), value: data ? <Moneys cost={data.total} /> : '…', note: t('spentNote') },
          { id: 'calls', name: t('calls'), value: data ? number(data.calls) : '…' },
          { id: 'agents', name: t('by.agent'), value: data ? number(data.items.length) : '…' },
          { id: 'unpriced', name: t('unpriced'), value: data ? number(data.unknown) : '…', note: t('unpricedNote') },
        ]}
      />
      <Budgets />
      <Section title={t('burn')} aside={<span>{t('burnNote')}</span>}>
        <Burning />
      </Section>
      <Spending />
    </Page>
  );
}
