import { useSyncExternalStore } from 'react';

export type Theme = 'system' | 'light' | 'dark';
export const THEMES: readonly Theme[] = ['system', 'light', 'dark'];
const KEY = 'squad.theme';
const listeners = new Set<() => void>();

function chosen(): Theme {
  const found = document.documentElement.dataset.theme;
  return found === 'light' || found === 'dark' ? found : 'system';
}

/** Puts a theme in force and keeps it; `system` follows the machine. */
export function setTheme(theme: Theme): void {
  const root = document.documentElement;
  if (theme === 'system') delete root.dataset.theme;
  else root.dataset.theme = theme;
  try {
    localStorage.setItem(KEY, theme);
  } catch {
    // it holds until the page is left
  }
  listeners.forEach((tell) => tell());
}

function subscribe(tell: () => void): () => void {
  listeners.add(tell);
  const system = matchMedia('(prefers-color-scheme: dark)');
  system.addEventListener('change', tell);
  return () => {
    listeners.delete(tell);
    system.removeEventListener('change', tell);
  };
}

export function useTheme(): Theme {
  return useSyncExternalStore(subscribe, chosen);
}

function dark(): boolean {
  const theme = chosen();
  return theme === 'system' ? matchMedia('(prefers-color-scheme: dark)').matches : theme === 'dark';
}

/** Whether it is dark now: for canvases, which cannot use the tokens by themselves. */
export function useDark(): boolean {
  return useSyncExternalStore(subscribe, dark);
}
