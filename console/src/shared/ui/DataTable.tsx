import { useVirtualizer } from '@tanstack/react-virtual';
import { useEffect, useRef, type KeyboardEvent, type ReactNode } from 'react';
import css from './DataTable.module.css';

export interface Column<T> {
  id: string;
  title: string;
  cell: (row: T) => ReactNode;
  /** Width as CSS grid takes it: `120px`, `2fr`, `minmax(80px, 1fr)`. */
  width?: string;
  align?: 'start' | 'end';
  /** Left out where there is no room. */
  wideOnly?: boolean;
}

interface DataTableProps<T> {
  label: string;
  rows: readonly T[];
  columns: readonly Column<T>[];
  keyOf: (row: T) => string;
  selected?: string | undefined;
  onSelect?: (row: T) => void;
  onOpen?: (row: T) => void;
  /** Asked for when the end comes near. */
  onEnd?: () => void;
  rowHeight?: number;
}

const ROW = 36;
const OVERSCAN = 12;
const NEAR_END = 20;

/** A table of any length: only the rows in sight exist. Arrows, j and k move, Enter opens. */
export function DataTable<T>(props: DataTableProps<T>) {
  const { label, rows, columns, keyOf, selected, onSelect, onOpen, onEnd, rowHeight = ROW } = props;
  const scroller = useRef<HTMLDivElement>(null);
  // The library gives functions that must not be memoized; this component is small.
  // eslint-disable-next-line react-hooks/incompatible-library
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => rowHeight,
    overscan: OVERSCAN,
    getItemKey: (index) => keyOf(rows[index]!),
  });
  const items = virtual.getVirtualItems();
  const last = items.at(-1)?.index ?? -1;
  useEffect(() => {
    if (rows.length > 0 && last >= rows.length - NEAR_END) onEnd?.();
  }, [last, rows.length, onEnd]);

  const at = selected === undefined ? -1 : rows.findIndex((row) => keyOf(row) === selected);
  const choose = (index: number) => {
    const row = rows[Math.max(0, Math.min(rows.length - 1, index))];
    if (!row) return;
    onSelect?.(row);
    virtual.scrollToIndex(Math.max(0, Math.min(rows.length - 1, index)));
  };
  const press = (event: KeyboardEvent) => {
    const steps: Record<string, number> = { ArrowDown: at + 1, j: at + 1, ArrowUp: at - 1, k: at - 1, Home: 0, End: rows.length - 1, PageDown: at + 10, PageUp: at - 10 };
    const row = rows[at];
    if (event.key in steps) choose(steps[event.key]!);
    else if (event.key === 'Enter' && row && onOpen) onOpen(row);
    else return;
    event.preventDefault();
  };
  const grid = (shown: readonly Column<T>[]) => shown.map((one) => one.width ?? 'minmax(0, 1fr)').join(' ');
  const style = {
    '--columns': grid(columns),
    '--columns-narrow': grid(columns.filter((one) => !one.wideOnly)),
    '--row-height': `${rowHeight}px`,
  } as React.CSSProperties;

  return (
    // A grid takes the focus once; the row it stands on is told by aria-activedescendant.
    <div
      ref={scroller}
      role="grid"
      aria-label={label}
      aria-rowcount={rows.length + 1}
      aria-colcount={columns.length}
      aria-activedescendant={at >= 0 ? `row-${keyOf(rows[at]!)}` : undefined}
      tabIndex={0}
      className={css.table}
      style={style}
      onKeyDown={press}
    >
      <div role="rowgroup" className={css.top}>
        <div role="row" aria-rowindex={1} className={`${css.row} ${css.heads}`}>
          {columns.map((one) => (
            <div key={one.id} role="columnheader" className={cellClass(one)}>
              {one.title}
            </div>
          ))}
        </div>
      </div>
      <div role="rowgroup" className={css.rows} style={{ blockSize: virtual.getTotalSize() }}>
        {items.map((item) => {
          const row = rows[item.index]!;
          return (
            // eslint-disable-next-line jsx-a11y/click-events-have-key-events
            <div
              key={item.key}
              id={`row-${keyOf(row)}`}
              role="row"
              tabIndex={-1}
              aria-rowindex={item.index + 2}
              aria-selected={item.index === at}
              className={`${css.row} ${css.line}`}
              style={{ transform: `translateY(${item.start}px)` }}
              onClick={() => {
                onSelect?.(row);
                onOpen?.(row);
              }}
            >
              {columns.map((one) => (
                <div key={one.id} role="gridcell" className={cellClass(one)}>
                  {one.cell(row)}
                </div>
              ))}
            </div>
          );
        })}
      </div>
    </div>
  );
}

function cellClass<T>(column: Column<T>): string {
  return [css.cell, column.align === 'end' && css.end, column.wideOnly && css.wide].filter(Boolean).join(' ');
}
