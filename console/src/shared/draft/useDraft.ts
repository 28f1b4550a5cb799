import { useCallback, useState } from 'react';

function read(key: string): string {
  try {
    return sessionStorage.getItem(key) ?? '';
  } catch {
    return '';
  }
}

/**
 * Text that somebody types and has not sent yet. It outlives a reload, a sign-in and a restart of the
 * server; `clear` it when the server has taken it.
 */
export function useDraft(name: string): [string, (text: string) => void, () => void] {
  const key = `squad.draft.${name}`;
  const [at, setAt] = useState(key);
  const [text, setText] = useState(() => read(key));
  if (at !== key) {
    setAt(key);
    setText(read(key));
  }
  const write = useCallback(
    (next: string) => {
      setText(next);
      try {
        if (next) sessionStorage.setItem(key, next);
        else sessionStorage.removeItem(key);
      } catch {
        // it stays on the page
      }
    },
    [key],
  );
  return [text, write, useCallback(() => write(''), [write])];
}
