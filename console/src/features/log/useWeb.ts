import { useQuery } from '@tanstack/react-query';
import { call } from '@/shared/api';
import { weave } from './links';
import type { Event } from './proof/check';

const LIMIT = 1_000;
const BEFORE = 3_000;
const LOOKED = 6_000;
const FAR = 100_000;

/** The events around one: those of its run and of what the run did, as many as one can take in. */
async function around(event: Event, from: number, signal: AbortSignal): Promise<{ events: Event[]; whole: boolean }> {
  const run = event.correlation;
  const streams = run ? [`run/${run}`, 'effect/'] : [event.stream];
  const events: Event[] = [];
  for (let after = from; ; ) {
    const page = await call('events.list', { after, limit: LIMIT, streams }, { signal });
    events.push(...page.items.filter((one) => !run || one.correlation === run));
    after = page.next;
    if (after >= page.size) return { events, whole: true };
    if (events.length >= LOOKED || after - from >= FAR) return { events, whole: false };
  }
}

/** Where an event comes from and what came of it. */
export function useWeb(event: Event) {
  const from = Math.max(0, (Math.floor(event.seq / BEFORE) - 1) * BEFORE);
  return useQuery({
    queryKey: ['log.web', event.correlation ?? event.stream, from] as const,
    queryFn: async ({ signal }) => {
      const { events, whole } = await around(event, from, signal);
      return { web: weave(events), whole };
    },
    meta: { live: event.correlation ? ['run.', 'step.', 'effect.', 'approval.'] : [event.type] },
    staleTime: 10_000,
  });
}
