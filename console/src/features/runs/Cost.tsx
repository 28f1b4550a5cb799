import { Fragment } from 'react';
import { Money } from '@/shared/ui';

/** What was spent, in each currency; nothing is a dash. */
export function Cost({ micros }: { micros: Readonly<Record<string, number>> }) {
  const spent = Object.entries(micros).filter(([, value]) => value !== 0);
  if (spent.length === 0) return <span aria-hidden="true">–</span>;
  return spent.map(([currency, value], index) => (
    <Fragment key={currency}>
      {index > 0 && ', '}
      <Money value={{ micros: value, currency }} />
    </Fragment>
  ));
}

/** Amounts as the server writes them, `{"USD": "1.25"}`, as millionths. */
export function microsOf(decimals: Readonly<Record<string, string>>): Record<string, number> {
  return Object.fromEntries(Object.entries(decimals).map(([currency, text]) => [currency, Math.round(Number(text) * 1_000_000)]));
}
