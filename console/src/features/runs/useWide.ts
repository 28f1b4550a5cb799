import { useSyncExternalStore } from 'react';

const query = '(min-width: 1000px)';

function subscribe(tell: () => void): () => void {
  const media = matchMedia(query);
  media.addEventListener('change', tell);
  return () => media.removeEventListener('change', tell);
}

/** Whether there is room for a run's readings beside each other. */
export function useWide(): boolean {
  return useSyncExternalStore(subscribe, () => matchMedia(query).matches);
}
