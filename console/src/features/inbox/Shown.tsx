import { isMoney } from '@/shared/format';
import { Money } from '@/shared/ui';
import css from './Shown.module.css';

/** A value as people read it: names in words, money as money, lists of like things as tables. */
export function Shown({ value }: { value: unknown }) {
  if (isMoney(value)) return <Money value={value} />;
  if (Array.isArray(value)) return <List items={value} />;
  if (typeof value === 'object' && value !== null) return <Fields value={value as Record<string, unknown>} />;
  if (value === '' || value === null || value === undefined) return <span className={css.nothing}>—</span>;
  return <>{typeof value === 'string' ? value : JSON.stringify(value)}</>;
}

export function words(name: string): string {
  const found = name.replace(/[_-]+/g, ' ');
  return found.charAt(0).toUpperCase() + found.slice(1);
}

function Fields({ value }: { value: Record<string, unknown> }) {
  const entries = Object.entries(value);
  if (entries.length === 0) return <span className={css.nothing}>—</span>;
  return (
    <dl className={css.fields}>
      {entries.map(([name, one]) => (
        <div key={name} className={css.field}>
          <dt>{words(name)}</dt>
          <dd>
            <Shown value={one} />
          </dd>
        </div>
      ))}
    </dl>
  );
}

const alike = (items: readonly unknown[]): items is Record<string, unknown>[] =>
  items.every((one) => typeof one === 'object' && one !== null && !Array.isArray(one) && !isMoney(one));

function List({ items }: { items: readonly unknown[] }) {
  if (items.length === 0) return <span className={css.nothing}>—</span>;
  if (!alike(items)) {
    return (
      <ul className={css.list}>
        {items.map((one, index) => (
          <li key={index}>
            <Shown value={one} />
          </li>
        ))}
      </ul>
    );
  }
  const names = [...new Set(items.flatMap((one) => Object.keys(one)))];
  return (
    // A wide table scrolls by itself, also by the keyboard.
    // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex
    <div className={css.wide} tabIndex={0} role="group" aria-label={names.map(words).join(', ')}>
      <table className={css.table}>
        <thead>
          <tr>
            {names.map((name) => (
              <th key={name} scope="col">
                {words(name)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {items.map((one, index) => (
            <tr key={index}>
              {names.map((name) => (
                <td key={name}>
                  <Shown value={one[name]} />
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
