/** What is kept of one event: inputs and outputs stay on the server until a step is opened. */
export interface Entry {
  seq: number;
  type: string;
  /** When, in milliseconds. */
  at: number;
  actor: string;
  position?: string | undefined;
}

export interface Mark {
  /** Place of its event in the journal. */
  index: number;
  seq: number;
  type: string;
  at: number;
  status: string;
}

export interface Step {
  position: string;
  name: string;
  child?: string;
  model?: string;
  attempts: number;
  ms?: number;
  cost: Readonly<Record<string, number>>;
  begun: number;
  marks: Mark[];
  /** Digests of what went in and came out, to compare two runs by. */
  input?: string;
  output?: string;
}

export interface RawEvent {
  seq: number;
  stream: string;
  stream_seq: number;
  type: string;
  at: string;
  actor: string;
  cause?: number | null;
  payload?: unknown;
}

interface Usage {
  model?: string;
  cost_micros?: number | null;
  currency?: string;
}

interface Body {
  position?: string;
  name?: string;
  action?: string;
  child?: string;
  ms?: number;
  attempts?: number;
  usage?: Usage[];
  input?: unknown;
  output?: unknown;
  error?: unknown;
  signal?: string;
  intervention?: unknown;
}

/** How a step stands after an event of a type. */
const STATUS: Readonly<Record<string, string>> = {
  'step.completed': 'done',
  'step.failed': 'failed',
  'effect.planned': 'planned',
  'effect.sent': 'sent',
  'effect.confirmed': 'confirmed',
  'effect.failed': 'failed',
  'effect.ambiguous': 'ambiguous',
  'effect.compensated': 'compensated',
  'approval.requested': 'asked',
  'approval.given': 'approved',
  'approval.refused': 'refused',
  'question.withdrawn': 'withdrawn',
  'timer.set': 'waits',
  'timer.fired': 'woke',
  'signal.waiting': 'waits',
  'signal.received': 'received',
  'incident.opened': 'incident',
  'intervention.made': 'byHand',
  'update.accepted': 'sent',
  'update.completed': 'done',
  'update.failed': 'failed',
};

const ENDED = new Set(['done', 'failed', 'confirmed', 'compensated', 'refused', 'withdrawn', 'woke', 'received']);

export function ended(status: string): boolean {
  return ENDED.has(status);
}

/** A short digest of JSON: enough to tell that two values differ, never to prove that they do not. */
export function digest(value: unknown): string | undefined {
  if (value === undefined) return undefined;
  const text = JSON.stringify(value);
  let high = 0xdeadbeef;
  let low = 0x41c6ce57;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    high = Math.imul(high ^ code, 2654435761);
    low = Math.imul(low ^ code, 1597334677);
  }
  return `${(high >>> 0).toString(36)}${(low >>> 0).toString(36)}${text.length.toString(36)}`;
}

/**
 * One run's events in order, folded into steps as they come. Each step keeps where in the journal it
 * changed, so that the state at any earlier event is read off without folding again.
 */
export class Journal {
  readonly entries: Entry[] = [];
  readonly steps: Step[] = [];
  private readonly byPosition = new Map<string, Step>();
  private readonly times = new Map<number, number>();

  constructor(readonly stream: string) {}

  /** Add events that follow; what is known already, or is of another stream, is passed over. */
  add(events: readonly RawEvent[]): void {
    for (const event of events) {
      if (event.stream === this.stream && event.stream_seq === this.entries.length + 1) this.take(event);
    }
  }

  step(position: string): Step | undefined {
    return this.byPosition.get(position);
  }

  /** The steps that had begun by the event at `index`. */
  until(index: number): readonly Step[] {
    if (index >= this.entries.length - 1) return this.steps;
    let low = 0;
    let high = this.steps.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.steps[middle]!.marks[0]!.index <= index) low = middle + 1;
      else high = middle;
    }
    return this.steps.slice(0, low);
  }

  private take(event: RawEvent): void {
    const index = this.entries.length;
    const at = Date.parse(event.at.split('/')[0]!);
    const body = (event.payload ?? {}) as Body;
    this.times.set(event.seq, at);
    const entry: Entry = { seq: event.seq, type: event.type, at, actor: event.actor };
    if (typeof body.position === 'string') entry.position = body.position;
    this.entries.push(entry);
    if (event.type === 'signal.received') entry.position ??= this.awaiting(body.name);
    const status = STATUS[event.type];
    if (status && entry.position !== undefined) this.mark(event, { ...body, position: entry.position }, { index, seq: event.seq, type: event.type, at, status });
  }

  /** The step that waits for a signal of this name. */
  private awaiting(signal: string | undefined): string | undefined {
    const waits = (one: Step) => one.name === signal && one.marks.at(-1)!.type === 'signal.waiting';
    return this.steps.find(waits)?.position;
  }

  private mark(event: RawEvent, body: Body, mark: Mark): void {
    const position = body.position!;
    let step = this.byPosition.get(position);
    if (!step) {
      step = { position, name: event.type, attempts: 1, cost: {}, begun: this.beginning(event, body, mark), marks: [] };
      this.byPosition.set(position, step);
      this.steps.push(step);
    }
    step.marks.push(mark);
    const named = event.type === 'signal.received' ? undefined : (body.name ?? body.action ?? body.signal);
    if (named) step.name = named;
    if (body.child) step.child = body.child;
    if (body.ms !== undefined) step.ms = body.ms;
    if (body.attempts !== undefined) step.attempts = body.attempts;
    if (body.usage?.length) spend(step, body.usage);
    const input = digest(body.input);
    if (input && !step.input) step.input = input;
    const output = digest(body.output ?? body.error);
    if (output) step.output = output;
  }

  private beginning(event: RawEvent, body: Body, mark: Mark): number {
    if (ended(mark.status) && body.ms !== undefined) return mark.at - body.ms;
    const cause = event.cause == null ? undefined : this.times.get(event.cause);
    return ended(mark.status) ? (cause ?? mark.at) : mark.at;
  }
}

function spend(step: Step, usage: readonly Usage[]): void {
  const models = new Set(usage.map((one) => one.model).filter((one) => one !== undefined));
  if (models.size > 0) step.model = [...models].join(', ');
  const cost = { ...step.cost };
  for (const { cost_micros: micros, currency = 'USD' } of usage) {
    if (micros != null) cost[currency] = (cost[currency] ?? 0) + micros;
  }
  step.cost = cost;
}

/** The last thing that had happened to a step by the event at `index`. */
export function markAt(step: Step, index: number): Mark {
  for (let at = step.marks.length - 1; at > 0; at -= 1) {
    if (step.marks[at]!.index <= index) return step.marks[at]!;
  }
  return step.marks[0]!;
}
