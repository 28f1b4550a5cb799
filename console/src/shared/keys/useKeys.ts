import { useEffect, useRef } from 'react';

export type Keys = Readonly<Record<string, (event: KeyboardEvent) => void>>;

const TYPING = 'input, textarea, select, [contenteditable="true"]';
const SEQUENCE_MS = 800;

function busy(event: KeyboardEvent): boolean {
  const at = event.target instanceof Element ? event.target : null;
  const dialog = document.querySelector('dialog[open]');
  return Boolean(at?.closest(TYPING)) || (dialog !== null && !dialog.contains(at));
}

/**
 * Keys of a view: `{ j: next, Enter: open, 'g i': inbox }`. They rest while somebody types or a dialog
 * is open, and never take what carries Ctrl, Alt or Meta.
 */
export function useKeys(keys: Keys, enabled = true): void {
  const latest = useRef(keys);
  useEffect(() => {
    latest.current = keys;
  });
  useEffect(() => {
    if (!enabled) return;
    let first = '';
    let timer: ReturnType<typeof setTimeout> | undefined;
    const press = (event: KeyboardEvent) => {
      if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || busy(event)) return;
      const act = latest.current[first ? `${first} ${event.key}` : event.key] ?? latest.current[event.key];
      first = first ? '' : event.key;
      clearTimeout(timer);
      timer = setTimeout(() => (first = ''), SEQUENCE_MS);
      if (!act) return;
      first = '';
      event.preventDefault();
      act(event);
    };
    addEventListener('keydown', press);
    return () => {
      clearTimeout(timer);
      removeEventListener('keydown', press);
    };
  }, [enabled]);
}
