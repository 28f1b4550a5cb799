import { useSyncExternalStore } from 'react';
import { millisOf, relativeTime, useFormat } from '@/shared/format';

const TICK_MS = 1_000;
const tellers = new Set<() => void>();
let clock = Date.now();
let timer: ReturnType<typeof setInterval> | undefined;

/** One clock for all times that are shown. */
function subscribe(tell: () => void): () => void {
  tellers.add(tell);
  timer ??= setInterval(() => {
    clock = Date.now();
    tellers.forEach((one) => one());
  }, TICK_MS);
  return () => {
    tellers.delete(tell);
    if (tellers.size === 0) {
      clearInterval(timer);
      timer = undefined;
    }
  };
}

export function useNow(): number {
  return useSyncExternalStore(subscribe, () => clock);
}

/** A time: how far away it is, and exactly when, for the mouse and for screen readers. */
export function Time({ at, absolute = false }: { at: string | number; absolute?: boolean }) {
  const { locale, time } = useFormat();
  const now = useNow();
  const ms = millisOf(at);
  if (Number.isNaN(ms)) return <span>{String(at)}</span>;
  const exact = time(ms);
  return (
    <time dateTime={new Date(ms).toISOString()} title={exact}>
      {absolute ? exact : relativeTime(ms, now, locale)}
    </time>
  );
}
