import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { reading, useReading } from '@/shared/api';
import { useFormat } from '@/shared/format';
import { ActionButton, Badge, Facts, Failure, Figures, Loading, Page, Section, ShortTable, Time, type Column } from '@/shared/ui';
import { Breakers } from './Breakers';
import css from './Health.module.css';
import { Pools, Queues } from './Queues';
import { useReadiness } from './readiness';

const EVERY_MS = 2_000;

interface Process {
  host: string;
  pid: number;
  drives: boolean;
  since: string;
}

function useEngine() {
  return useQuery({ ...reading('engine.status', {}), refetchInterval: EVERY_MS });
}

function Ready() {
  const { t } = useTranslation('health');
  const { data } = useReadiness();
  if (!data) return null;
  const fine = data.status === 'ok';
  return <Badge tone={fine ? 'good' : 'bad'}>{fine ? t('ready') : t('notReady')}</Badge>;
}

function Checks() {
  const { t } = useTranslation('health');
  const { data, error, refetch } = useReadiness();
  if (error) return <Failure error={error} retry={() => void refetch()} />;
  if (!data) return <Loading rows={2} />;
  const items = Object.entries(data.checks).map(
    ([name, said]) =>
      [t(`check.${name}`, { defaultValue: name }), <Badge key={name} tone={said === 'ok' ? 'good' : 'bad'}>{said === 'ok' ? t('fine') : said}</Badge>] as const,
  );
  return <Facts items={items} />;
}

function Work() {
  const { t } = useTranslation('health');
  const { number, duration } = useFormat();
  const { data } = useEngine();
  const shown = (value: number | undefined, digits = 0) => (data ? number(value ?? 0, { maximumFractionDigits: digits }) : '…');
  const standing = data?.overloaded ? t('overloaded') : data?.running ? t('running') : t('resting');
  return (
    <Figures
      items={[
        { id: 'engine', name: t('engine'), value: data ? standing : '…', note: data?.seen ? <Time at={data.seen} /> : undefined },
        { id: 'work', name: t('atWork'), value: shown(data?.at_work), note: data?.limit ? t('ofLimit', { limit: number(data.limit) }) : undefined },
        { id: 'waiting', name: t('waiting'), value: shown(data?.waiting), note: data ? t('delay', { delay: duration(data.delay_ms ?? 0) }) : undefined },
        { id: 'starts', name: t('starts'), value: shown(data?.starts_s, 1), note: t('perSecond') },
        { id: 'refused', name: t('refused'), value: shown(data?.refused), note: data ? t('admitted', { admitted: number(data.admitted ?? 0) }) : undefined },
      ]}
    />
  );
}

function Processes() {
  const { t } = useTranslation('health');
  const { data } = useEngine();
  const rows: readonly Process[] = data?.processes ?? [];
  if (rows.length === 0) return null;
  const columns: Column<Process>[] = [
    { id: 'host', title: t('process.host'), cell: (one) => one.host },
    { id: 'pid', title: t('process.pid'), align: 'end', cell: (one) => one.pid },
    { id: 'drives', title: t('process.standing'), cell: (one) => (one.drives ? <Badge tone="good">{t('process.drives')}</Badge> : <Badge>{t('process.waits')}</Badge>) },
    { id: 'since', title: t('since'), align: 'end', cell: (one) => <Time at={one.since} /> },
  ];
  return (
    <Section title={t('process.title')}>
      <ShortTable label={t('process.title')} rows={rows} columns={columns} keyOf={(one) => `${one.host}/${one.pid}`} />
    </Section>
  );
}

function LogFacts() {
  const { t } = useTranslation('health');
  const { number } = useFormat();
  const { data, error, refetch } = useReading('log.stats', {}, { staleMs: 30_000 });
  if (error) return <Failure error={error} retry={() => void refetch()} />;
  if (!data) return <Loading rows={3} />;
  const size = number(data.bytes / 1_000_000, { style: 'unit', unit: 'megabyte', maximumFractionDigits: 1 });
  return (
    <Facts
      items={[
        [t('log.events'), number(data.events)],
        [t('log.streams'), number(data.streams)],
        [t('log.size'), size],
        [t('log.last'), data.last ? <Time at={data.last} /> : '–'],
        [t('log.root'), <code key="root" className={css.root}>{data.root}</code>],
      ]}
    />
  );
}

/** Whether all is well, and what to do where it is not. */
export function Component() {
  const { t } = useTranslation('health');
  return (
    <Page
      title={t('title')}
      aside={<Ready />}
      actions={
        <>
          <ActionButton action="control.halt" look="danger" label={t('halt')} />
          <ActionButton action="control.lift" label={t('lift')} />
        </>
      }
    >
      <Work />
      <Section title={t('checks')}>
        <Checks />
      </Section>
      <Processes />
      <Breakers />
      <Pools />
      <Queues />
      <Section title={t('log.title')}>
        <LogFacts />
      </Section>
    </Page>
  );
}
