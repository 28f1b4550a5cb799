import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { isMoney } from '@/shared/format';
import { Money } from './Amount';
import css from './Json.module.css';

const OPEN_DEPTH = 2;
const PAGE = 100;

/** JSON as a tree that opens; money is shown as money, with its exact value beside it. */
export function Json({ value, label }: { value: unknown; label?: string }) {
  return (
    <div className={css.json} role="group" aria-label={label}>
      <Node value={value} depth={0} />
    </div>
  );
}

function Node({ name, value, depth }: { name?: string; value: unknown; depth: number }) {
  const key = name === undefined ? null : <span className={css.key}>{name}</span>;
  if (typeof value !== 'object' || value === null) {
    return (
      <div className={css.leaf}>
        {key}
        <Scalar value={value} />
      </div>
    );
  }
  const entries = Array.isArray(value)
    ? value.map((one, index) => [String(index), one as unknown] as const)
    : Object.entries(value as Record<string, unknown>);
  const [left, right] = Array.isArray(value) ? ['[', ']'] : ['{', '}'];
  if (entries.length === 0) {
    return (
      <div className={css.leaf}>
        {key}
        <span className={css.quiet}>{left + right}</span>
      </div>
    );
  }
  return (
    <details open={depth < OPEN_DEPTH} className={css.branch}>
      <summary>
        {key}
        {isMoney(value) ? <Money value={value} /> : <span className={css.quiet}>{`${left}${entries.length}${right}`}</span>}
      </summary>
      <Entries entries={entries} depth={depth + 1} />
    </details>
  );
}

function Entries({ entries, depth }: { entries: readonly (readonly [string, unknown])[]; depth: number }) {
  const { t } = useTranslation('ui');
  const [shown, setShown] = useState(PAGE);
  const left = entries.length - shown;
  return (
    <div className={css.inner}>
      {entries.slice(0, shown).map(([key, one]) => (
        <Node key={key} name={key} value={one} depth={depth} />
      ))}
      {left > 0 && (
        <button type="button" className={css.more} onClick={() => setShown(shown + PAGE)}>
          {t('json.more', { count: left })}
        </button>
      )}
    </div>
  );
}

function Scalar({ value }: { value: unknown }) {
  if (typeof value === 'string') return <span className={css.text}>{value === '' ? '""' : value}</span>;
  if (value === null || value === undefined) return <span className={css.quiet}>null</span>;
  return <span className={css.number}>{JSON.stringify(value)}</span>;
}
