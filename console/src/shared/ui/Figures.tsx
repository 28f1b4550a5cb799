import type { ReactNode } from 'react';
import css from './Figures.module.css';

export interface Figure {
  id: string;
  name: string;
  value: ReactNode;
  /** A few words below it. */
  note?: ReactNode;
}

/** The few numbers a view is about, side by side. */
export function Figures({ items }: { items: readonly Figure[] }) {
  return (
    <dl className={css.figures}>
      {items.map((one) => (
        <div key={one.id} className={css.figure}>
          <dt>{one.name}</dt>
          <dd className={css.value}>{one.value}</dd>
          {one.note !== undefined && <dd className={css.note}>{one.note}</dd>}
        </div>
      ))}
    </dl>
  );
}
