import { useInfiniteQuery } from '@tanstack/react-query';
import { useMemo, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useNavigate } from 'react-router';
import { call, type Schemas } from '@/shared/api';
import { millisOf, useFormat } from '@/shared/format';
import { Button, DataTable, Empty, Failure, KeyHelp, Loading, Page, Time, useNow, type Column } from '@/shared/ui';
import { addressOf, shortOf } from './address';
import { Cost, microsOf } from './Cost';
import { RunFilters } from './RunFilters';
import css from './runs.module.css';
import { RunStatus } from './status';
import { SINCE, useFilters, type Filters } from './useFilters';

type Line = Schemas['RunLine'];

const PAGE = 100;
const MINUTE = 60_000;
/** What tells that a run stands otherwise than before. */
const LIVE = ['run.', 'approval.', 'signal.', 'timer.', 'incident.', 'intervention.', 'question.'];

function useRuns(filters: Filters) {
  const { workflow, status, since, all } = filters;
  return useInfiniteQuery({
    queryKey: ['runs.list', 'pages', workflow, status, since, all],
    queryFn: ({ pageParam, signal }) => {
      const from = since && Math.floor((Date.now() - SINCE[since]) / MINUTE) * MINUTE;
      const which = { workflow: workflow || null, status: status ?? null, all, limit: PAGE, cursor: pageParam };
      return call('runs.list', { ...which, since: from ? new Date(from).toISOString() : null }, { signal });
    },
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next ?? undefined,
    meta: { live: LIVE },
    placeholderData: (before) => before,
  });
}

export function RunList() {
  const { t } = useTranslation('runs');
  const navigate = useNavigate();
  const { filters, narrow, widen, narrowed } = useFilters();
  const runs = useRuns(filters);
  const [selected, select] = useState<string>();
  const columns = useColumns();
  const all = useMemo(() => runs.data?.pages.flatMap((page) => page.items) ?? [], [runs.data]);
  const text = filters.text.toLowerCase();
  const lines = useMemo(
    () => (text ? all.filter((one) => `${one.id} ${one.workflow}`.toLowerCase().includes(text)) : all),
    [all, text],
  );
  const more = () => {
    if (runs.hasNextPage && !runs.isFetchingNextPage) void runs.fetchNextPage();
  };
  return (
    <Page title={t('title')} fill aside={runs.data && t('count', { count: lines.length, more: runs.hasNextPage ? '+' : '' })}>
      <div className={css.column}>
        <RunFilters filters={filters} narrow={narrow} />
        {runs.error && !runs.data ? (
          <Failure error={runs.error} retry={() => void runs.refetch()} />
        ) : !runs.data ? (
          <Loading rows={12} />
        ) : lines.length > 0 ? (
          <div className={css.fill}>
            <DataTable
              label={t('title')}
              rows={lines}
              columns={columns}
              keyOf={(one) => one.id}
              selected={selected}
              onSelect={(one) => select(one.id)}
              onOpen={(one) => void navigate(addressOf(one.id))}
              onEnd={more}
            />
          </div>
        ) : (
          <Nothing narrowed={narrowed} widen={widen} further={runs.hasNextPage ? more : undefined} seen={all.length} />
        )}
      </div>
      <KeyHelp keys={[['j', t('keys.next')], ['k', t('keys.previous')], ['Enter', t('keys.open')]]} />
    </Page>
  );
}

function Nothing(props: { narrowed: boolean; widen: () => void; further: (() => void) | undefined; seen: number }) {
  const { t } = useTranslation('runs');
  if (!props.narrowed) {
    return (
      <Empty title={t('empty.title')}>
        <p>{t('empty.text')}</p>
        <code>squad run purchase-to-pay --input FOLDER</code>
      </Empty>
    );
  }
  return (
    <Empty title={t('none.title')}>
      {props.further && <p>{t('none.looked', { count: props.seen })}</p>}
      <div className={css.buttons}>
        {props.further && <Button onClick={props.further}>{t('none.further')}</Button>}
        <Button onClick={props.widen}>{t('none.widen')}</Button>
      </div>
    </Empty>
  );
}

function useColumns(): Column<Line>[] {
  const { t } = useTranslation('runs');
  return [
    { id: 'status', title: t('column.status'), width: '104px', cell: (one) => <RunStatus status={one.status} /> },
    { id: 'workflow', title: t('column.workflow'), width: 'minmax(0, 2fr)', cell: (one) => <span className={css.strong}>{one.workflow}</span> },
    { id: 'run', title: t('column.run'), width: 'minmax(0, 3fr)', wideOnly: true, cell: (one) => <code className={css.code} title={one.id}>{shortOf(one.id)}</code> },
    { id: 'started', title: t('column.started'), width: 'minmax(76px, 1fr)', align: 'end', cell: (one) => <Time at={one.started} /> },
    { id: 'took', title: t('column.took'), width: '96px', align: 'end', wideOnly: true, cell: (one) => <Took line={one} /> },
    { id: 'cost', title: t('column.cost'), width: '96px', align: 'end', wideOnly: true, cell: (one) => <Cost micros={microsOf(one.cost)} /> },
  ];
}

/** How long a run took, or takes already. */
function Took({ line }: { line: Line }) {
  return line.ended ? <Span ms={millisOf(line.ended) - millisOf(line.started)} /> : <Going since={millisOf(line.started)} />;
}

function Going({ since }: { since: number }) {
  return <Span ms={Math.max(0, useNow() - since)} />;
}

function Span({ ms }: { ms: number }) {
  return useFormat().duration(ms);
}
