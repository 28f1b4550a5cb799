import type { ReactNode } from 'react';
import type { Column } from './DataTable';
import css from './ShortTable.module.css';

interface ShortTableProps<T> {
  label: string;
  rows: readonly T[];
  columns: readonly Column<T>[];
  keyOf: (row: T) => string;
  /** Shown where there are no rows. */
  empty?: ReactNode;
}

/** A table of a few rows that stands between other things: as high as it is long. */
export function ShortTable<T>({ label, rows, columns, keyOf, empty }: ShortTableProps<T>) {
  if (rows.length === 0 && empty) return <p className={css.empty}>{empty}</p>;
  const look = (one: Column<T>) => [one.align === 'end' && css.end, one.wideOnly && css.wide].filter(Boolean).join(' ') || undefined;
  return (
    <table className={css.table} aria-label={label}>
      <thead>
        <tr>
          {columns.map((one) => (
            <th key={one.id} scope="col" className={look(one)} style={one.width ? { inlineSize: one.width } : undefined}>
              {one.title ? one.title : <span className="visually-hidden">{one.id}</span>}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {rows.map((row) => (
          <tr key={keyOf(row)}>
            {columns.map((one) => (
              <td key={one.id} className={look(one)}>
                {one.cell(row)}
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}
