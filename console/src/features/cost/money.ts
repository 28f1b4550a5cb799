import type { Money } from '@/shared/format';

const MICROS = 1_000_000;

/** `{"USD": "12.34"}`, as reports hold sums, as money. */
export function moneys(cost: Readonly<Record<string, string>> | undefined): Money[] {
  return Object.entries(cost ?? {}).map(([currency, amount]) => moneyOf(amount, currency));
}

export function moneyOf(amount: string, currency: string): Money {
  return { micros: Math.round(Number(amount) * MICROS), currency };
}
