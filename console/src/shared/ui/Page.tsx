import { useEffect, type ReactNode } from 'react';
import css from './Page.module.css';

interface PageProps {
  title: string;
  /** A few words beside the title: a count, a state. */
  aside?: ReactNode;
  actions?: ReactNode;
  /** Whether the content may use the whole height and scrolls by itself. */
  fill?: boolean;
  children: ReactNode;
}

/** The frame of every view: its heading, what can be done, and the content. */
export function Page({ title, aside, actions, fill = false, children }: PageProps) {
  useEffect(() => {
    document.title = `${title} · Agent Squad`;
  }, [title]);
  return (
    <div className={`${css.page} ${fill ? css.fill : ''}`}>
      <header className={css.head}>
        <h1 className={css.title} tabIndex={-1}>
          {title}
        </h1>
        {aside && <div className={css.aside}>{aside}</div>}
        {actions && <div className={css.actions}>{actions}</div>}
      </header>
      <div className={css.body}>{children}</div>
    </div>
  );
}

/** What narrows a list: one line of fields above it. */
export function Toolbar({ label, children }: { label: string; children: ReactNode }) {
  return (
    <div role="group" aria-label={label} className={css.toolbar}>
      {children}
    </div>
  );
}

interface SectionProps {
  title: string;
  aside?: ReactNode;
  children: ReactNode;
}

export function Section({ title, aside, children }: SectionProps) {
  return (
    <section className={css.section}>
      <header className={css.sectionHead}>
        <h2 className={css.sectionTitle}>{title}</h2>
        {aside}
      </header>
      {children}
    </section>
  );
}

/** Names and values, aligned. */
export function Facts({ items }: { items: readonly (readonly [string, ReactNode])[] }) {
  return (
    <dl className={css.facts}>
      {items.map(([name, value]) => (
        <div key={name} className={css.fact}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
