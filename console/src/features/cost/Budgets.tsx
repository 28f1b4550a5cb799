import { useTranslation } from 'react-i18next';
import { useReading, type Output } from '@/shared/api';
import { useFormat } from '@/shared/format';
import { ActionButton, Badge, Failure, Loading, Money, Section, ShortTable, type Column } from '@/shared/ui';
import css from './Cost.module.css';
import { moneyOf } from './money';

type Budget = Output<'budget.show'>['items'][number];

const NEARLY = 0.8;

/** How much of a budget is gone; what is set aside for calls under way stands behind it. */
function Meter({ budget }: { budget: Budget }) {
  const { t } = useTranslation('cost');
  const { percent } = useFormat();
  const limit = Number(budget.limit);
  const share = (amount: string) => (limit > 0 ? Math.min(1, Number(amount) / limit) : 1);
  const spent = share(budget.spent);
  const held = Math.min(1 - spent, share(budget.reserved));
  const used = spent + held;
  const tone = used >= 1 ? css.over : used >= NEARLY ? css.nearly : css.within;
  return (
    <div className={css.meterRow}>
      <div
        className={css.meter}
        role="meter"
        aria-label={t('budget.used', { scope: budget.scope })}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={Math.round(used * 100)}
      >
        <span className={tone} style={{ inlineSize: `${spent * 100}%` }} />
        <span className={css.held} style={{ inlineSize: `${held * 100}%` }} />
      </div>
      <span className={css.share}>{percent(used)}</span>
    </div>
  );
}

export function Budgets() {
  const { t } = useTranslation('cost');
  const { data, error, refetch } = useReading('budget.show', {}, { live: ['budget.'] });
  const money = (budget: Budget, amount: string) => <Money value={moneyOf(amount, budget.currency)} />;
  const columns: Column<Budget>[] = [
    { id: 'scope', title: t('budget.scope'), cell: (one) => <code className={css.scope}>{one.scope}</code> },
    { id: 'period', title: t('budget.period'), wideOnly: true, cell: (one) => t(`period.${one.period}`, { defaultValue: one.period }) },
    { id: 'used', title: t('budget.usedTitle'), width: '30%', cell: (one) => <Meter budget={one} /> },
    { id: 'spent', title: t('budget.spent'), align: 'end', wideOnly: true, cell: (one) => money(one, one.spent) },
    { id: 'reserved', title: t('budget.reserved'), align: 'end', wideOnly: true, cell: (one) => money(one, one.reserved) },
    { id: 'left', title: t('budget.left'), align: 'end', cell: (one) => (Number(one.left) <= 0 ? <Badge tone="bad">{t('budget.gone')}</Badge> : money(one, one.left)) },
    { id: 'limit', title: t('budget.limit'), align: 'end', wideOnly: true, cell: (one) => money(one, one.limit) },
    {
      id: t('budget.change'),
      title: '',
      align: 'end',
      cell: (one) => (
        <ActionButton
          action="budget.set"
          look="quiet"
          label={t('budget.change')}
          title={t('budget.changeOf', { scope: one.scope })}
          fixed={{ scope: one.scope, currency: one.currency, period: one.period }}
          start={{ amount: one.limit }}
        />
      ),
    },
  ];
  return (
    <Section title={t('budget.title')} aside={<ActionButton action="budget.set" label={t('budget.set')} />}>
      {error ? (
        <Failure error={error} retry={() => void refetch()} />
      ) : !data ? (
        <Loading rows={2} />
      ) : (
        <ShortTable
          label={t('budget.title')}
          rows={data.items}
          columns={columns}
          keyOf={(one) => `${one.scope} ${one.currency} ${one.period}`}
          empty={t('budget.none')}
        />
      )}
    </Section>
  );
}
