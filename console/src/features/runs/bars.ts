import { ended, type Step } from './journal';

export type BarKind = 'work' | 'wait' | 'stuck' | 'child';

export interface Bar {
  kind: BarKind;
  from: number;
  to: number;
}

const KIND: Readonly<Record<string, BarKind>> = {
  'approval.requested': 'wait',
  'timer.set': 'wait',
  'signal.waiting': 'wait',
  'incident.opened': 'stuck',
  'effect.ambiguous': 'stuck',
};

/** What a step spent its time with, up to the event at `index`; what still goes on goes on until `now`. */
export function barsOf(step: Step, index: number, now: number): Bar[] {
  const marks = step.marks.filter((mark, at) => at === 0 || mark.index <= index);
  const first = marks[0]!;
  const bars: Bar[] = [];
  if (step.begun < first.at) bars.push({ kind: step.child ? 'child' : 'work', from: step.begun, to: first.at });
  marks.forEach((mark, at) => {
    const next = marks[at + 1];
    if (!next && ended(mark.status)) return;
    bars.push({ kind: KIND[mark.type] ?? 'work', from: mark.at, to: Math.max(mark.at, next?.at ?? now) });
  });
  return bars.length > 0 ? bars : [{ kind: step.child ? 'child' : 'work', from: first.at, to: first.at }];
}

/** How long a step took: what it says itself, or from its beginning to its last event. */
export function tookMs(step: Step, index: number, now: number): number {
  const marks = step.marks.filter((mark, at) => at === 0 || mark.index <= index);
  const last = marks.at(-1)!;
  if (ended(last.status) && marks.length === 1 && step.ms !== undefined) return step.ms;
  return Math.max(0, (ended(last.status) ? last.at : now) - step.begun);
}
