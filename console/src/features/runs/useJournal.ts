import { useQueryClient } from '@tanstack/react-query';
import { useCallback, useEffect, useRef, useState } from 'react';
import { call } from '@/shared/api';
import { useLive } from '@/shared/live';
import { Journal } from './journal';

const FIRST = 300;
const PAGE = 1_000;
/** So many events come by themselves; what is beyond them when it is scrolled or slid to. */
const BY_ITSELF = 5_000;
const GATHER_MS = 250;

export interface Following {
  journal: Journal;
  /** Grows when the journal has grown. */
  version: number;
  whole: boolean;
  error: unknown;
  /** Have the next page. */
  more: () => void;
  /** Have all up to so many events. */
  reach: (count: number) => void;
}

/** A run's events, a page after the other, and then as they happen. */
export function useJournal(run: string): Following {
  const stream = `run/${run}`;
  const client = useQueryClient();
  const [journal] = useState(() => new Journal(stream));
  const [version, setVersion] = useState(0);
  const [whole, setWhole] = useState(false);
  const [error, setError] = useState<unknown>();
  const wanted = useRef(BY_ITSELF);
  const busy = useRef(false);
  const gone = useRef(false);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);

  const load = useCallback(async () => {
    if (busy.current) return;
    busy.current = true;
    try {
      for (let full = true; full && !gone.current && journal.entries.length < wanted.current; ) {
        const limit = journal.entries.length === 0 ? FIRST : PAGE;
        const page = await call('log.show', { stream, after: journal.entries.at(-1)?.seq ?? 0, limit });
        if (gone.current) return;
        journal.add(page.items);
        full = page.items.length === limit;
        setWhole(!full);
        setError(undefined);
        setVersion((one) => one + 1);
      }
    } catch (problem) {
      setError(problem);
    } finally {
      busy.current = false;
    }
  }, [journal, stream]);

  const reach = useCallback(
    (count: number) => {
      wanted.current = Math.max(wanted.current, count);
      if (journal.entries.length < count) void load();
    },
    [journal, load],
  );
  const more = useCallback(() => reach(journal.entries.length + PAGE), [journal, reach]);

  useEffect(() => {
    gone.current = false;
    queueMicrotask(() => void load());
    return () => {
      gone.current = true;
      clearTimeout(timer.current);
      timer.current = undefined;
    };
  }, [load]);

  useLive((event) => {
    if (event.stream !== stream && !event.stream.startsWith(`${stream}/`)) return;
    if (event.stream === stream && whole) wanted.current = Math.max(wanted.current, journal.entries.length + PAGE);
    timer.current ??= setTimeout(() => {
      timer.current = undefined;
      void client.invalidateQueries({ queryKey: ['runs.show'] });
      if (whole) void load();
    }, GATHER_MS);
  });

  return { journal, version, whole, error, more, reach };
}
