import { isRunStatus, type RunStatusName } from './status';
import { useAddress } from './useAddress';

export const SINCE = { '1h': 3_600_000, '24h': 86_400_000, '7d': 604_800_000, '30d': 2_592_000_000 } as const;
export type Since = keyof typeof SINCE;
export type FilterName = 'workflow' | 'status' | 'since' | 'text' | 'all';

export interface Filters {
  workflow: string;
  status: RunStatusName | undefined;
  since: Since | undefined;
  text: string;
  all: boolean;
}

/** What the list is narrowed to; it stands in the address, so that it survives a reload and can be sent to somebody. */
export function useFilters() {
  const { search, put, clear: widen } = useAddress();
  const since = search.get('since');
  const status = search.get('status');
  const filters: Filters = {
    workflow: search.get('workflow') ?? '',
    status: isRunStatus(status) ? status : undefined,
    since: since && since in SINCE ? (since as Since) : undefined,
    text: search.get('text') ?? '',
    all: search.get('all') === '1',
  };
  const narrow = (name: FilterName, value: string) => put(name, value, true);
  const narrowed = search.size > 0;
  return { filters, narrow, widen, narrowed };
}
