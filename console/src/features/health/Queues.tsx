import { useTranslation } from 'react-i18next';
import { useReading, type Output } from '@/shared/api';
import { useFormat } from '@/shared/format';
import { ActionButton, Badge, Failure, Loading, Section, ShortTable, Time, type Column } from '@/shared/ui';

type Pool = Output<'pools.list'>['items'][number];
type Subscription = Output<'messages.subscriptions'>['items'][number];
type Schedule = Output<'schedules.list'>['items'][number];
type Dead = Output<'proxy.dead'>['items'][number];

export function Pools() {
  const { t } = useTranslation('health');
  const { number } = useFormat();
  const { data, error, refetch } = useReading('pools.list', {}, { live: ['pool.', 'run.', 'resource.'] });
  const columns: Column<Pool>[] = [
    { id: 'pool', title: t('pool.name'), cell: (one) => one.pool },
    { id: 'node', title: t('pool.node'), wideOnly: true, cell: (one) => one.node },
    { id: 'slots', title: t('pool.slots'), align: 'end', cell: (one) => one.slots },
    { id: 'busy', title: t('pool.busy'), align: 'end', cell: (one) => number(one.busy) },
    { id: 'waiting', title: t('pool.waiting'), align: 'end', cell: (one) => number(one.waiting) },
    { id: 'refused', title: t('refused'), align: 'end', wideOnly: true, cell: (one) => number(one.refused) },
  ];
  if (error) return <Section title={t('pool.title')}><Failure error={error} retry={() => void refetch()} /></Section>;
  return (
    <Section title={t('pool.title')}>
      {data ? <ShortTable label={t('pool.title')} rows={data.items} columns={columns} keyOf={(one) => `${one.pool}/${one.node}`} empty={t('pool.none')} /> : <Loading rows={1} />}
    </Section>
  );
}

/** What waits for its time or its message, and what was given up. */
export function Queues() {
  const { t } = useTranslation('health');
  const { number } = useFormat();
  const listening = useReading('messages.subscriptions', {}, { live: ['message.'] });
  const schedules = useReading('schedules.list', {}, { live: ['schedule.', 'run.'] });
  const dead = useReading('proxy.dead', {}, { live: ['proxy.'] });
  const failed = [listening, schedules, dead].find((one) => one.error);
  const listens: Column<Subscription>[] = [
    { id: 'name', title: t('queue.subscription'), cell: (one) => one.name },
    { id: 'workflow', title: t('queue.workflow'), wideOnly: true, cell: (one) => one.workflow },
    { id: 'topics', title: t('queue.topics'), wideOnly: true, cell: (one) => one.topics.join(', ') },
    { id: 'failed', title: t('queue.failed'), align: 'end', cell: (one) => (one.failed ? <Badge tone="bad">{number(one.failed)}</Badge> : number(0)) },
  ];
  const times: Column<Schedule>[] = [
    { id: 'workflow', title: t('queue.workflow'), cell: (one) => one.workflow },
    { id: 'cron', title: t('queue.cron'), wideOnly: true, cell: (one) => <code>{one.cron}</code> },
    { id: 'next', title: t('queue.next'), align: 'end', cell: (one) => (one.paused ? <Badge tone="warn">{t('queue.paused')}</Badge> : one.next ? <Time at={one.next} /> : '–') },
  ];
  const given: Column<Dead>[] = [
    { id: 'model', title: t('queue.model'), cell: (one) => one.model },
    { id: 'why', title: t('queue.why'), cell: (one) => one.why },
    { id: 'at', title: t('since'), align: 'end', wideOnly: true, cell: (one) => <Time at={one.at} /> },
    { id: t('queue.again'), title: '', align: 'end', cell: () => <ActionButton action="proxy.retry" look="quiet" label={t('queue.again')} /> },
  ];
  return (
    <>
      {failed && <Failure error={failed.error} retry={() => void failed.refetch()} />}
      <Section title={t('queue.listening')}>
        {listening.data ? <ShortTable label={t('queue.listening')} rows={listening.data.items} columns={listens} keyOf={(one) => one.name} empty={t('queue.noneListen')} /> : <Loading rows={1} />}
      </Section>
      <Section title={t('queue.schedules')}>
        {schedules.data ? <ShortTable label={t('queue.schedules')} rows={schedules.data.items} columns={times} keyOf={(one) => one.workflow} empty={t('queue.noneDue')} /> : <Loading rows={1} />}
      </Section>
      <Section title={t('queue.dead')}>
        {dead.data ? <ShortTable label={t('queue.dead')} rows={dead.data.items} columns={given} keyOf={(one) => one.id} empty={t('queue.noneDead')} /> : <Loading rows={1} />}
      </Section>
    </>
  );
}
