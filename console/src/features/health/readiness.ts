import { useQuery } from '@tanstack/react-query';
import { Offline } from '@/shared/api';

export interface Readiness {
  status: string;
  checks: Readonly<Record<string, string>>;
}

const EVERY_MS = 5_000;

/** What the server says of itself at `/readyz`; one that is not ready answers too. */
export function useReadiness() {
  return useQuery({
    queryKey: ['readyz'],
    queryFn: async ({ signal }): Promise<Readiness> => {
      const answer = await fetch('/readyz', { signal, headers: { accept: 'application/json' } }).catch(() => {
        throw new Offline();
      });
      const told = (await answer.json()) as Partial<Readiness>;
      return { status: told.status ?? String(answer.status), checks: told.checks ?? {} };
    },
    refetchInterval: EVERY_MS,
  });
}
