import { describe, expect, it } from 'vitest';
import { about, fits, filterOf } from './filter';
import { chain, impact, reached, weave } from './links';
import type { Event } from './proof/check';

const ROOT = 'kaakmppc4j';
const CASE = `${ROOT}/4500210003`;

function event(seq: number, type: string, stream: string, payload: object, cause: number | null = null): Event {
  return {
    seq, type, stream, payload, cause, stream_seq: 1, version: 1, at: `2026-11-24T02:02:0${seq % 10}.000Z/0000`,
    actor: 'person:root', correlation: ROOT, payload_digest: 'sha256:00', prev: null,
  };
}

const amount = { currency: 'USD', micros: 170_806_000_000 };
const events = [
  event(1, 'run.started', `run/${ROOT}`, { workflow: 'purchase-to-pay', parent: null }),
  event(2, 'step.completed', `run/${ROOT}`, { name: 'p2p.scan', position: '1' }, 1),
  event(3, 'run.started', `run/${CASE}`, { workflow: 'purchase-to-pay-case', parent: { run: ROOT, position: '2' } }),
  event(4, 'step.completed', `run/${CASE}`, { name: 'decide payments.send', position: '7' }, 3),
  event(5, 'approval.requested', `run/${CASE}`, { action: 'payments.send', binding: 'sha256:ab', input: { amount }, position: '8' }, 4),
  event(6, 'approval.granted', `run/${CASE}`, { binding: 'sha256:ab' }),
  event(7, 'effect.planned', `run/${CASE}`, { action: 'payments.send', key: 'k1', input: { amount }, position: '9' }, 6),
  event(8, 'effect.sent', `run/${CASE}`, { key: 'k1', position: '9' }, 6),
  event(9, 'effect.claimed', 'effect/k1', { run: CASE, position: '9' }),
  event(10, 'effect.confirmed', `run/${CASE}`, { name: 'payments.send', position: '9' }, 8),
  event(11, 'run.completed', `run/${CASE}`, { output: {} }, 10),
  event(12, 'step.completed', `run/${ROOT}`, { child: CASE, position: '2' }, 2),
  event(13, 'step.completed', `run/${ROOT}`, { name: 'p2p.letters', position: '3' }, 2),
];

describe('where an event comes from', () => {
  const web = weave(events);
  it('goes back through the approval, the child run and what called it to where all began', () => {
    expect(chain(web, 9)).toEqual([7, 6, 5, 4, 3, 2, 1]);
  });
  it('ends where nothing is named', () => {
    expect(chain(web, 1)).toEqual([]);
  });
  it('does not run in a circle, whatever the log says', () => {
    const odd = weave([event(1, 'a.b', 's/1', {}, 2), event(2, 'a.b', 's/1', {}, 1)]);
    expect(chain(odd, 1)).toEqual([2, 1]);
    expect(reached(odd, 1).map((one) => one.seq)).toEqual([2]);
  });
});

describe('how far a record reached', () => {
  it('is all that rests on it, and not what only stands behind it', () => {
    const found = reached(weave(events), 4).map((one) => one.seq);
    expect(found).toEqual([5, 6, 7, 8, 9, 10, 11, 12]);
  });
  it('names runs, decisions, approvals and payments with how far they came', () => {
    const found = impact(weave(events), 3);
    expect(found.runs).toHaveLength(2);
    expect(found.decisions.map((one) => one.seq)).toEqual([4]);
    expect(found.approvals.map((one) => one.seq)).toEqual([5, 6]);
    expect(found.effects).toMatchObject([{ standing: 'confirmed', money: amount }]);
  });
  it('counts a payment that people are still asked about once, as asked', () => {
    const found = impact(weave(events.slice(0, 5)), 1);
    expect(found.effects).toMatchObject([{ standing: 'asked', money: amount }]);
  });
});

describe('what is looked for', () => {
  const filter = (text: string) => filterOf(new URLSearchParams(text));
  it('fits by type and its family, beginning of the stream, actor and any text', () => {
    const one = events[4]!;
    expect(fits(one, filter('type=approval.*&stream=run/kaak&actor=ROOT&text=payments.SEND'))).toBe(true);
    for (const other of ['type=approval', 'stream=effect/', 'actor=ada', 'text=nothing']) expect(fits(one, filter(other))).toBe(false);
  });
  it('is told in a word, or by where it stands', () => {
    expect(about(events[3]!)).toBe('decide payments.send');
    expect(about(events[10]!)).toBe('4500210003');
  });
});
