import { lazy, Suspense, useCallback, useEffect, useMemo, type ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { Link } from 'react-router';
import { useReading, type Output } from '@/shared/api';
import { millisOf, useFormat } from '@/shared/format';
import { Failure, Id, KeyHelp, Loading, Page, Tabs, Time, useNow } from '@/shared/ui';
import { useKeys } from '@/shared/keys/useKeys';
import { addressOf } from './address';
import { Cost, microsOf } from './Cost';
import type { Step } from './journal';
import { RunActions } from './RunActions';
import css from './runs.module.css';
import { Slider } from './Slider';
import { RunStatus } from './status';
import { StepDrawer } from './StepDrawer';
import { StepTable, type Moment } from './StepTable';
import { Ends } from './Ends';
import { useAddress } from './useAddress';
import { useJournal } from './useJournal';
import { useWide } from './useWide';

/** The library that draws it comes when a run is opened, not with the list. */
const Graph = lazy(() => import('./graph/Graph').then((found) => ({ default: found.Graph })));

type Shown = Output<'runs.show'>;

const OPEN = ['running', 'waiting', 'incident'];

/** One run: how it stands, its steps in time and in words, and each step opened. */
export function RunPage({ run }: { run: string }) {
  const shown = useReading('runs.show', { run, limit: 2 });
  const { t } = useTranslation('runs');
  if (shown.data) return <Opened run={shown.data.id} shown={shown.data} />;
  return (
    <Page title={t('run')}>
      {shown.error ? <Failure error={shown.error} retry={() => void shown.refetch()} /> : <Loading rows={10} />}
    </Page>
  );
}

/** What of a run is looked at, kept in the address. */
function usePlace() {
  const { search, put } = useAddress();
  const at = Number(search.get('at'));
  return {
    at: Number.isInteger(at) && at > 0 ? at : undefined,
    tab: search.get('tab') ?? 'timeline',
    step: search.get('step') ?? undefined,
    mark: search.get('mark') ?? undefined,
    put,
  };
}

function Opened({ run, shown }: { run: string; shown: Shown }) {
  const { t } = useTranslation('runs');
  const place = usePlace();
  const { journal, version, whole, error, more, reach } = useJournal(run);
  const open = OPEN.includes(shown.status);
  const now = useNow();
  const { entries } = journal;
  const total = Math.max(entries.length, (shown.earlier ?? 0) + 2);
  const at = place.at !== undefined && place.at < total ? place.at : undefined;
  useEffect(() => {
    if (at !== undefined) reach(at);
  }, [at, reach]);

  const index = Math.max(0, Math.min(at ?? entries.length, entries.length) - 1);
  const past = at === undefined ? undefined : entries[index];
  const last = entries.at(-1)?.at ?? millisOf(shown.started);
  const until = past?.at ?? (open && whole ? Math.max(now, last) : last);
  const moment = useMemo<Moment>(() => ({ index, now: until, from: millisOf(shown.started) }), [index, until, shown.started]);
  // The journal grows in place; `version` says when it has.
  // eslint-disable-next-line react-hooks/exhaustive-deps
  const steps = useMemo(() => [...journal.until(index)], [journal, index, version]);
  const opened = place.step === undefined ? undefined : journal.step(place.step);
  const { put } = place;
  const openStep = useCallback((step: Step) => put('step', step.position, false), [put]);
  const move = (to: number | undefined) => place.put('at', to === undefined ? undefined : String(to), true);
  useKeys({ '[': () => move(Math.max(1, (at ?? total) - 1)), ']': () => move(at !== undefined && at + 1 < total ? at + 1 : undefined) });

  const table = (show: 'both' | 'table' | 'timeline') =>
    steps.length === 0 && !whole ? (
      error ? <Failure error={error} retry={more} /> : <Loading rows={10} />
    ) : (
      <StepTable
        steps={steps}
        moment={moment}
        show={show}
        selected={place.mark}
        onOpen={openStep}
        onSelect={(step) => place.put('mark', step.position, true)}
        onEnd={more}
      />
    );
  const graph = () => (
    <Suspense fallback={<Loading rows={3} />}>{steps.length > 0 && <Graph steps={steps} moment={moment} onOpen={openStep} />}</Suspense>
  );
  return (
    <Page title={shown.workflow} fill aside={<Head shown={shown} />} actions={open && <RunActions run={run} steps={steps} />}>
      <div className={css.column}>
        <Parents run={run} />
        <Ends shown={shown} />
        <Slider entries={entries} total={total} at={at} onMove={move} />
        <Readings tab={place.tab} onTab={(tab) => place.put('tab', tab, true)} table={table} graph={graph} />
      </div>
      {opened && <StepDrawer step={opened} moment={moment} onClose={() => place.put('step', undefined, false)} />}
      <KeyHelp keys={[['j', t('keys.next')], ['k', t('keys.previous')], ['Enter', t('keys.open')], ['[', t('slider.back')], [']', t('slider.forward')]]} />
    </Page>
  );
}

interface ReadingsProps {
  tab: string;
  onTab: (tab: string) => void;
  table: (show: 'both' | 'table' | 'timeline') => ReactNode;
  graph: () => ReactNode;
}

/** Beside each other where there is room, one at a time where there is none. */
function Readings({ tab, onTab, table, graph }: ReadingsProps) {
  const { t } = useTranslation('runs');
  const wide = useWide();
  if (wide) {
    return (
      <div className={css.fill}>
        <div className={css.above}>{graph()}</div>
        <div className={css.below}>{table('both')}</div>
      </div>
    );
  }
  const tabs = [
    { id: 'timeline', title: t('tab.timeline'), content: () => table('timeline') },
    { id: 'graph', title: t('tab.graph'), content: graph },
    { id: 'table', title: t('tab.table'), content: () => table('table') },
  ];
  return (
    <div className={css.fill}>
      <Tabs label={t('tab.label')} tabs={tabs} chosen={tab} onChoose={onTab} />
    </div>
  );
}

function Head({ shown }: { shown: Shown }) {
  const { t } = useTranslation('runs');
  const { duration } = useFormat();
  const now = useNow();
  const cost = microsOf(shown.cost);
  const from = millisOf(shown.started);
  const took = Math.max(0, (shown.ended ? millisOf(shown.ended) : now) - from);
  return (
    <div className={css.head}>
      <RunStatus status={shown.status} />
      <Id value={shown.id} />
      <span>
        {t('head.started')} <Time at={shown.started} />
      </span>
      <span>{duration(took)}</span>
      {Object.values(cost).some(Boolean) && <Cost micros={cost} />}
    </div>
  );
}

/** The way up from a child run. */
function Parents({ run }: { run: string }) {
  const { t } = useTranslation('runs');
  const parts = run.split('/');
  if (parts.length === 1) return null;
  return (
    <nav aria-label={t('parents')} className={css.parents}>
      {parts.map((part, at) =>
        at === parts.length - 1 ? (
          <span key={at}>{part}</span>
        ) : (
          <Link key={at} to={addressOf(parts.slice(0, at + 1).join('/'))}>
            {part}
          </Link>
        ),
      )}
    </nav>
  );
}
