import { isMoney, type Money } from '@/shared/format';
import { about } from './filter';
import type { Event } from './proof/check';

type Body = Record<string, unknown>;

/** What the causes and consequences of a record are read from: events of its run, and where they point. */
export interface Web {
  events: ReadonlyMap<number, Event>;
  causes: ReadonlyMap<number, readonly number[]>;
  results: ReadonlyMap<number, readonly number[]>;
}

export function body(event: Event): Body {
  return typeof event.payload === 'object' && event.payload !== null ? (event.payload as Body) : {};
}

export function runOf(event: Event): string | undefined {
  return event.stream.startsWith('run/') ? event.stream.slice('run/'.length) : undefined;
}

function keyOf(event: Event): unknown {
  return event.stream.startsWith('effect/') ? event.stream.slice('effect/'.length) : body(event).key;
}

interface Places {
  started: Map<string, Event>;
  ended: Map<string, Event>;
  steps: Map<string, Event>;
  planned: Map<unknown, Event>;
  asked: Map<unknown, Event>;
}

function places(events: readonly Event[]): Places {
  const found: Places = { started: new Map(), ended: new Map(), steps: new Map(), planned: new Map(), asked: new Map() };
  for (const one of events) {
    const run = runOf(one);
    if (one.type === 'run.started' && run) found.started.set(run, one);
    else if (/^run\.(completed|failed|cancelled|continued)$/.test(one.type) && run) found.ended.set(run, one);
    else if (one.type === 'step.completed' && run) found.steps.set(`${run} ${String(body(one).position)}`, one);
    else if (one.type === 'effect.planned') found.planned.set(body(one).key, one);
    else if (one.type === 'approval.requested') found.asked.set(body(one).binding, one);
  }
  return found;
}

/** What led to an event: what it names as its cause, and what its run, effect or approval rests on. */
function led(event: Event, at: Places): number[] {
  const found: (number | null | undefined)[] = [event.cause];
  const { parent, child, binding } = body(event) as { parent?: { run?: string; position?: string } | null; child?: string; binding?: unknown };
  if (event.type === 'run.started' && parent?.run) {
    const step = at.steps.get(`${parent.run} ${parent.position}`);
    found.push(step ? step.cause : at.started.get(parent.run)?.seq);
  }
  if (event.type === 'step.completed' && child) found.push(at.ended.get(child)?.seq);
  if (/^effect\.(claimed|sent)$/.test(event.type)) found.push(at.planned.get(keyOf(event))?.seq);
  if (event.type.startsWith('approval.') && event.type !== 'approval.requested') found.push(at.asked.get(binding)?.seq);
  return [...new Set(found.filter((one): one is number => typeof one === 'number' && one !== event.seq))];
}

export function weave(events: readonly Event[]): Web {
  const at = places(events);
  const causes = new Map<number, readonly number[]>();
  const results = new Map<number, number[]>();
  for (const one of events) {
    const before = led(one, at);
    causes.set(one.seq, before);
    for (const seq of before) results.set(seq, [...(results.get(seq) ?? []), one.seq]);
  }
  return { events: new Map(events.map((one) => [one.seq, one])), causes, results };
}

/** From an event back to where it all began, the nearest first. */
export function chain(web: Web, seq: number): number[] {
  const found: number[] = [];
  let next = web.causes.get(seq)?.at(-1);
  while (next !== undefined && !found.includes(next)) {
    found.push(next);
    next = web.causes.get(next)?.at(-1);
  }
  return found;
}

/** Every event that would not stand as it does without this one. */
export function reached(web: Web, seq: number): Event[] {
  const seen = new Set([seq]);
  const queue = [seq];
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
    for (const one of web.results.get(next) ?? []) {
      if (!seen.has(one)) queue.push(one);
      seen.add(one);
    }
  }
  seen.delete(seq);
  return [...seen].sort((one, two) => one - two).flatMap((one) => web.events.get(one) ?? []);
}

export interface Impact {
  events: number;
  runs: Event[];
  decisions: Event[];
  approvals: Event[];
  /** What was to leave the house, and how far it came. */
  effects: { event: Event; standing: 'asked' | 'planned' | 'sent' | 'confirmed' | 'failed'; money: Money | undefined }[];
}

export function moneyOf(event: Event): Money | undefined {
  const { amount } = (body(event).input ?? {}) as { amount?: unknown };
  return isMoney(amount) ? amount : undefined;
}

/** Which runs, decisions, approvals and effects (payments among them) a record came to. */
export function impact(web: Web, seq: number): Impact {
  const own = web.events.get(seq);
  const all = [...(own ? [own] : []), ...reached(web, seq)];
  const last = new Map<string, Event>();
  for (const one of all) {
    const run = runOf(one);
    if (run) last.set(run, one);
  }
  const standing = (event: Event): Impact['effects'][number]['standing'] => {
    const place = body(event).position;
    const types = all.filter((one) => one.stream === event.stream && body(one).position === place).map((one) => one.type);
    return types.includes('effect.confirmed') ? 'confirmed' : types.includes('effect.failed') ? 'failed' : types.includes('effect.sent') ? 'sent' : 'planned';
  };
  const planned = all.filter((one) => one.type === 'effect.planned');
  const at = (one: Event) => `${one.stream} ${String(body(one).action)}`;
  const done = new Set(planned.map(at));
  const asked = all.filter((one) => one.type === 'approval.requested' && !done.has(at(one)));
  return {
    events: Math.max(0, all.length - (own ? 1 : 0)),
    runs: [...last.values()],
    decisions: all.filter((one) => about(one).startsWith('decide ') || one.type.startsWith('policy.')),
    approvals: all.filter((one) => one.type.startsWith('approval.')),
    effects: [
      ...asked.map((event) => ({ event, standing: 'asked' as const, money: moneyOf(event) })),
      ...planned.map((event) => ({ event, standing: standing(event), money: moneyOf(event) })),
    ],
  };
}
