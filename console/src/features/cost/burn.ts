import { millisOf } from '@/shared/format';

export interface Spent {
  started: string;
  ended: string | null;
  cost: Readonly<Record<string, string>>;
}

/** How much was spent in all by when, one line a currency; times in seconds, ascending, as a chart wants them. */
export interface Burn {
  at: number[];
  lines: { currency: string; total: number[] }[];
}

/** Add up runs in the order in which they ended; what is still open counts with what it has cost, now. */
export function burnOf(runs: readonly Spent[], now: number): Burn {
  const when = (run: Spent) => (run.ended ? millisOf(run.ended) : now);
  const ordered = [...runs].sort((left, right) => when(left) - when(right));
  const currencies = [...new Set(ordered.flatMap((run) => Object.keys(run.cost)))].sort();
  const first = Math.min(...ordered.map((run) => millisOf(run.started)));
  const at = ordered.length ? [first / 1_000, ...ordered.map((run) => when(run) / 1_000)] : [];
  const lines = currencies.map((currency) => {
    let sum = 0;
    return { currency, total: ordered.length ? [0, ...ordered.map((run) => (sum += Number(run.cost[currency] ?? 0)))] : [] };
  });
  return { at, lines };
}
