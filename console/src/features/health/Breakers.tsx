import { useTranslation } from 'react-i18next';
import { useReading, type Output } from '@/shared/api';
import { useFormat } from '@/shared/format';
import { ActionButton, Badge, Failure, Loading, Section, ShortTable, Time, type Column, type Tone } from '@/shared/ui';

type Breaker = Output<'breakers.list'>['items'][number];

const TONES: Readonly<Record<string, Tone>> = { closed: 'good', open: 'bad' };

/** What calls pass on their way out, and whether they do. */
export function Breakers() {
  const { t } = useTranslation('health');
  const { number } = useFormat();
  const { data, error, refetch } = useReading('breakers.list', {}, { live: ['breaker.'] });
  const columns: Column<Breaker>[] = [
    { id: 'name', title: t('breaker.name'), cell: (one) => one.name },
    { id: 'state', title: t('breaker.state'), cell: (one) => <Badge tone={TONES[one.state] ?? 'warn'}>{t(`state.${one.state}`, { defaultValue: one.state })}</Badge> },
    { id: 'since', title: t('since'), wideOnly: true, cell: (one) => (one.since ? <Time at={one.since} /> : '–') },
    { id: 'because', title: t('breaker.because'), wideOnly: true, cell: (one) => one.because || '–' },
    { id: 'opened', title: t('breaker.opened'), align: 'end', wideOnly: true, cell: (one) => number(one.opened ?? 0) },
    {
      id: t('breaker.turn'),
      title: '',
      align: 'end',
      cell: (one) =>
        one.state === 'closed' ? (
          <ActionButton action="breakers.open" look="quiet" label={t('breaker.open')} title={t('breaker.openOf', { name: one.name })} fixed={{ name: one.name }} />
        ) : (
          <ActionButton action="breakers.close" look="quiet" label={t('breaker.close')} title={t('breaker.closeOf', { name: one.name })} fixed={{ name: one.name }} />
        ),
    },
  ];
  return (
    <Section title={t('breaker.title')}>
      {error ? (
        <Failure error={error} retry={() => void refetch()} />
      ) : !data ? (
        <Loading rows={2} />
      ) : (
        <ShortTable label={t('breaker.title')} rows={data.items} columns={columns} keyOf={(one) => one.name} empty={t('breaker.none')} />
      )}
    </Section>
  );
}
