import { useQuery } from '@tanstack/react-query';
import { call, useReading, type Schemas } from '@/shared/api';
import { tree, type Question } from './question';
import { compare, type Case, type Comparison } from './usual';

const PAGE = 1_000;
type Event = Schemas['Event'];

async function approvals(signal: AbortSignal): Promise<Event[]> {
  const found: Event[] = [];
  for (let after = 0; ; ) {
    const page = await call('events.list', { types: ['approval.*'], after, limit: PAGE }, { signal });
    found.push(...page.items);
    if (page.items.length < PAGE || page.next >= page.size) return found;
    after = page.next;
  }
}

/** Earlier requests of the same action that were approved. */
function approved(events: readonly Event[], one: Question): Case[] {
  const given = new Set(events.filter((event) => event.type === 'approval.given').map((event) => tree(event.payload).binding));
  return events
    .filter((event) => event.type === 'approval.requested')
    .map((event) => tree(event.payload))
    .filter((past) => past.action === one.action && past.binding !== one.binding && given.has(past.binding))
    .map((past) => ({ input: past.input, evidence: past.evidence }));
}

/** How a question differs from those that were approved before; undefined while nobody knows yet. */
export function useComparison(one: Question): Comparison | undefined {
  const { data } = useQuery({
    queryKey: ['approvals', 'past'],
    queryFn: ({ signal }) => approvals(signal),
    meta: { live: ['approval.'] },
    staleTime: 60_000,
  });
  return data && compare(one, approved(data, one));
}

const written = (value: unknown) => (typeof value === 'string' ? value : '');

export interface Ruling {
  reason: string;
  clauses: string[];
  revision: string;
  facts: unknown;
  seq: number;
}

/** What policy decided before people were asked: the last decision about this action in the run. */
export function useRuling(one: Question): { ruling: Ruling | undefined; known: boolean } {
  const { data } = useReading(
    'events.list',
    { streams: [`run/${one.run}`], types: ['step.completed'], limit: PAGE },
    { staleMs: 60_000 },
  );
  const events = data?.items ?? [];
  const decided = events.filter((event) => {
    const step = tree(event.payload);
    return event.stream === `run/${one.run}` && step.action === 'policy.decide' && tree(step.input).action === one.action;
  });
  const last = decided.at(-1);
  if (!last) return { ruling: undefined, known: data !== undefined };
  const step = tree(last.payload);
  const output = tree(step.output);
  return {
    known: true,
    ruling: {
      reason: written(output.reason),
      clauses: Array.isArray(output.clauses) ? output.clauses.map(String) : [],
      revision: written(output.revision),
      facts: tree(step.input).facts,
      seq: last.seq,
    },
  };
}
