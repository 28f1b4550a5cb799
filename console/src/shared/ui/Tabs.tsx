import { useId, useRef, type KeyboardEvent, type ReactNode } from 'react';
import css from './Tabs.module.css';

export interface Tab {
  id: string;
  title: string;
  content: () => ReactNode;
}

interface TabsProps {
  label: string;
  tabs: readonly Tab[];
  chosen: string;
  onChoose: (id: string) => void;
}

/** One of several readings of the same thing; arrows go from one to the next. */
export function Tabs({ label, tabs, chosen, onChoose }: TabsProps) {
  const id = useId();
  const list = useRef<HTMLDivElement>(null);
  const at = Math.max(0, tabs.findIndex((one) => one.id === chosen));
  const move = (event: KeyboardEvent) => {
    const back = getComputedStyle(event.currentTarget).direction === 'rtl' ? 'ArrowRight' : 'ArrowLeft';
    const step = ['ArrowRight', 'ArrowLeft'].includes(event.key) ? (event.key === back ? -1 : 1) : 0;
    const to = event.key === 'Home' ? 0 : event.key === 'End' ? tabs.length - 1 : (at + step + tabs.length) % tabs.length;
    const next = tabs[to];
    if (!next || (to === at && step === 0)) return;
    event.preventDefault();
    onChoose(next.id);
    list.current?.querySelectorAll<HTMLElement>('[role=tab]')[to]?.focus();
  };
  return (
    <div className={css.tabs}>
      <div ref={list} role="tablist" aria-label={label} className={css.list} tabIndex={-1} onKeyDown={move}>
        {tabs.map((one, index) => (
          <button
            key={one.id}
            type="button"
            role="tab"
            id={`${id}-${one.id}`}
            aria-selected={index === at}
            aria-controls={index === at ? `${id}-panel` : undefined}
            tabIndex={index === at ? 0 : -1}
            className={css.tab}
            onClick={() => onChoose(one.id)}
          >
            {one.title}
          </button>
        ))}
      </div>
      <div role="tabpanel" id={`${id}-panel`} aria-labelledby={`${id}-${tabs[at]?.id}`} className={css.panel}>
        {tabs[at]?.content()}
      </div>
    </div>
  );
}
