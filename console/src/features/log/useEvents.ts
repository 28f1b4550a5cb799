import { useInfiniteQuery } from '@tanstack/react-query';
import { useCallback, useEffect, useState } from 'react';
import { call } from '@/shared/api';
import { useLive } from '@/shared/live';
import { fits, instant, isEmpty, isPlain, type Filter } from './filter';
import type { Event } from './proof/check';

interface Page {
  /** Newest first. */
  items: Event[];
  /** Everything above this number was looked at. */
  low: number;
  floor: number;
  size: number;
}

const LIMIT = 1_000;
const PLAIN = 400;
const SEARCHED = 5_000;
const ENOUGH = 60;
const KEPT = 5_000;
const END = Number.MAX_SAFE_INTEGER;

/** The number of the first event at or after a time; the log's times never go back. */
async function firstAt(time: string, size: number, signal: AbortSignal): Promise<number> {
  let [low, high] = [1, size + 1];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const { items } = await call('log.show', { after: middle - 1, limit: 1 }, { signal });
    if ((items[0]?.at ?? '') >= time) high = middle;
    else low = middle + 1;
  }
  return low;
}

async function edges(filter: Filter, signal: AbortSignal): Promise<{ top: number; floor: number; size: number }> {
  const { size } = await call('log.show', { limit: 1 }, { signal });
  const [since, until] = [instant(filter.since), instant(filter.until)];
  const floor = since ? (await firstAt(since, size, signal)) - 1 : 0;
  const top = until ? (await firstAt(until, size, signal)) - 1 : size;
  return { top, floor, size };
}

/** The events of one stretch of the log, downwards from `top`. */
async function stretch(filter: Filter, top: number, floor: number, size: number, signal: AbortSignal): Promise<Page> {
  const low = Math.max(floor, top - (isPlain(filter) && !filter.type && !filter.stream ? PLAIN : SEARCHED));
  const asked = {
    ...(filter.type && { types: [filter.type] }),
    ...(filter.stream && { streams: [filter.stream] }),
  };
  const items: Event[] = [];
  for (let after = low; after < top; ) {
    const page = await call('events.list', { after, limit: Math.min(LIMIT, top - after), ...asked }, { signal });
    items.push(...page.items.filter((one) => one.seq <= top && fits(one, filter)));
    after = page.next;
  }
  return { items: items.reverse(), low, floor, size };
}

/** The events that fit, newest first, a stretch at a time, and those that come while one looks. */
export function useEvents(filter: Filter) {
  const [following, setFollowing] = useState(true);
  const [came, setCame] = useState<readonly Event[]>([]);
  const [waiting, setWaiting] = useState<readonly Event[]>([]);
  const query = useInfiniteQuery({
    queryKey: ['log.events', filter] as const,
    initialPageParam: undefined as Page | undefined,
    queryFn: async ({ pageParam, signal }) => {
      if (pageParam) return stretch(filter, pageParam.low, pageParam.floor, pageParam.size, signal);
      const { top, floor, size } = await edges(filter, signal);
      return stretch(filter, top, floor, size, signal);
    },
    getNextPageParam: (last) => (last.low > last.floor ? last : undefined),
    staleTime: Infinity,
    gcTime: 60_000,
  });
  const { data, hasNextPage, isFetchingNextPage, fetchNextPage } = query;
  const older = data?.pages.flatMap((one) => one.items) ?? [];
  const top = data?.pages[0]?.size ?? END;

  useLive((heard) => {
    const event = heard as unknown as Event;
    if (filter.until || !fits(event, filter)) return;
    (following ? setCame : setWaiting)((before) => [event, ...before].slice(0, KEPT));
  });
  const follow = useCallback(
    (on: boolean) => {
      setFollowing(on);
      if (!on) return;
      setCame((before) => [...waiting, ...before].slice(0, KEPT));
      setWaiting([]);
    },
    [waiting],
  );
  const more = useCallback(() => {
    if (hasNextPage && !isFetchingNextPage) void fetchNextPage();
  }, [hasNextPage, isFetchingNextPage, fetchNextPage]);

  // Rare things are looked for until there is a screenful of them, or no more log.
  const few = older.length < ENOUGH && !isEmpty(filter);
  useEffect(() => {
    if (few) more();
  }, [few, more]);

  return {
    events: [...came.filter((one) => one.seq > top && fits(one, filter)), ...older],
    size: Math.max(data?.pages[0]?.size ?? 0, came[0]?.seq ?? 0, waiting[0]?.seq ?? 0),
    looked: data ? (data.pages[0]?.size ?? 0) - (data.pages.at(-1)?.low ?? 0) : 0,
    searching: isFetchingNextPage,
    waiting: waiting.filter((one) => fits(one, filter)).length,
    following,
    follow,
    more,
    error: query.error,
    pending: query.isPending,
    retry: () => void query.refetch(),
  };
}
