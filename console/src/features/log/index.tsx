import { useCallback, useMemo, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useSearchParams } from 'react-router';
import { useFormat } from '@/shared/format';
import { useKeys } from '@/shared/keys/useKeys';
import { Badge, Button, DataTable, Empty, Failure, Loading, Page, Time, type Column } from '@/shared/ui';
import { EventDrawer } from './EventDrawer';
import { about, filterOf, isEmpty } from './filter';
import { Filters } from './Filters';
import { Growth } from './Growth';
import css from './log.module.css';
import type { Event } from './proof/check';
import { tone } from './tone';
import { useEvents } from './useEvents';

function useColumns(): Column<Event>[] {
  const { t } = useTranslation('log');
  const { number } = useFormat();
  return useMemo(
    () => [
      { id: 'seq', title: t('column.seq'), width: '48px', align: 'end', cell: (one) => <span className={css.seq}>{number(one.seq)}</span> },
      { id: 'type', title: t('column.type'), width: '150px', cell: (one) => <Badge tone={tone(one.type)}>{one.type}</Badge> },
      { id: 'about', title: t('column.about'), width: 'minmax(104px, 2fr)', cell: (one) => about(one) },
      { id: 'stream', title: t('column.stream'), width: 'minmax(64px, 2fr)', wideOnly: true, cell: (one) => <code className={css.stream} title={one.stream}>{one.stream}</code> },
      { id: 'actor', title: t('column.actor'), width: 'minmax(80px, 1fr)', wideOnly: true, cell: (one) => one.actor },
      { id: 'at', title: t('column.at'), width: '180px', align: 'end', wideOnly: true, cell: (one) => <Time at={one.at} absolute /> },
    ],
    [t, number],
  );
}

/** The log: everything that happened, to be searched, followed and proven. */
export function Component() {
  const { t } = useTranslation('log');
  const { number } = useFormat();
  const [params, setParams] = useSearchParams();
  const filter = useMemo(() => filterOf(params), [params]);
  const [chosen, setChosen] = useState<string>();
  const search = useRef<HTMLDivElement>(null);
  const found = useEvents(filter);
  const columns = useColumns();
  const open = params.get('event') ?? undefined;

  const set = useCallback(
    (changes: Record<string, string | undefined>, push = false) =>
      setParams(
        (before) => {
          const next = new URLSearchParams(before);
          for (const [name, value] of Object.entries(changes)) {
            if (value) next.set(name, value);
            else next.delete(name);
          }
          return next;
        },
        { replace: !push },
      ),
    [setParams],
  );
  const show = useCallback((seq: number) => {
    setChosen(String(seq));
    set({ event: String(seq) }, true);
  }, [set]);
  useKeys({
    '/': () => search.current?.querySelector('input')?.focus(),
    f: () => found.follow(!found.following),
  }, open === undefined);

  return (
    <Page
      title={t('title')}
      fill
      aside={found.pending ? undefined : t('size', { count: found.size, size: number(found.size) })}
      actions={
        <>
          <Button aria-pressed={found.following} shortcut="f" onClick={() => found.follow(!found.following)}>
            {found.following ? t('follow.on') : found.waiting ? t('follow.waiting', { count: found.waiting }) : t('follow.off')}
          </Button>
          <Button onClick={() => set({ growth: '1' }, true)}>{t('growth.open')}</Button>
        </>
      }
    >
      <div className={css.list} ref={search}>
        <Filters filter={filter} onChange={set} onNumber={show} />
        <div className={css.rows}>
          {found.error ? (
            <Failure error={found.error} retry={found.retry} />
          ) : found.pending ? (
            <Loading rows={14} />
          ) : found.events.length === 0 && !found.searching ? (
            <Empty title={isEmpty(filter) ? t('empty.title') : t('none.title')}>
              <p>{isEmpty(filter) ? t('empty.text') : t('none.text', { looked: number(found.looked) })}</p>
            </Empty>
          ) : (
            <DataTable
              label={t('title')}
              rows={found.events}
              columns={columns}
              keyOf={(one) => String(one.seq)}
              selected={open ?? chosen}
              onSelect={(one) => setChosen(String(one.seq))}
              onOpen={(one) => show(one.seq)}
              onEnd={found.more}
            />
          )}
        </div>
        <p role="status" className={css.status}>
          {found.searching ? t('searching', { looked: number(found.looked), size: number(found.size) }) : ''}
        </p>
      </div>
      <EventDrawer
        seq={open ? Number(open) : undefined}
        part={params.get('part') ?? 'record'}
        size={found.size}
        onPart={(part) => set({ part })}
        onShow={show}
        onClose={() => set({ event: undefined, part: undefined })}
      />
      <Growth open={params.has('growth')} onClose={() => set({ growth: undefined })} />
    </Page>
  );
}
