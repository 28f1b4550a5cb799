import { describe, expect, it } from 'vitest';
import { barsOf, tookMs } from './bars';
import { Journal, markAt, type RawEvent } from './journal';

const T0 = Date.parse('2026-11-24T00:00:00.000Z');
let count = 0;

function event(type: string, ms: number, payload: object, cause?: number): RawEvent {
  count += 1;
  return { seq: count * 10, stream: 'run/a', stream_seq: count, type, at: `${new Date(T0 + ms).toISOString()}/0000`, actor: 'person:ada', cause: cause ?? null, payload };
}

function story(): RawEvent[] {
  count = 0;
  return [
    event('run.started', 0, { workflow: 'w' }),
    event('step.completed', 100, { position: '1', name: 'edi.check', ms: 40, input: { a: 1 }, output: { b: 1 }, attempts: 3 }, 10),
    event('approval.requested', 120, { position: '2', action: 'payments.send' }, 20),
    event('approval.given', 920, { position: '2' }, 30),
    event('effect.planned', 930, { position: '2', name: 'payments.send' }, 40),
    event('effect.confirmed', 1000, { position: '2', ms: 50, output: {} }, 50),
    event('signal.waiting', 1010, { position: '3', name: 'delivered' }, 60),
    event('signal.received', 1500, { name: 'delivered', payload: 4 }),
  ];
}

describe('a journal', () => {
  it('folds events to steps, each as it stood at any event', () => {
    const journal = new Journal('run/a');
    journal.add(story());
    expect(journal.steps.map((one) => [one.position, one.name])).toEqual([['1', 'edi.check'], ['2', 'payments.send'], ['3', 'delivered']]);
    const pay = journal.step('2')!;
    const seen = [2, 3, 4, 5, 7].map((index) => markAt(pay, index).status);
    expect(seen).toEqual(['asked', 'approved', 'planned', 'confirmed', 'confirmed']);
    expect([0, 1, 2, 5, 6, 7].map((index) => journal.until(index).length)).toEqual([0, 1, 2, 2, 3, 3]);
    expect(markAt(journal.step('3')!, 7).status).toBe('received');
  });

  it('takes no event twice, none of others, and none before its turn', () => {
    const journal = new Journal('run/a');
    const [first, second, third] = story() as [RawEvent, RawEvent, RawEvent];
    journal.add([first, first, { ...second, stream: 'run/b' }, third, second]);
    expect(journal.entries.map((one) => one.seq)).toEqual([10, 20]);
  });

  it('comes to the same in pages as at once', () => {
    const whole = new Journal('run/a');
    const paged = new Journal('run/a');
    whole.add(story());
    for (const one of story()) paged.add([one]);
    expect(paged.steps).toEqual(whole.steps);
  });
});

describe('bars', () => {
  it('tell work from waiting, and go on as long as a step does', () => {
    const journal = new Journal('run/a');
    journal.add(story());
    const shown = (position: string, index: number, now: number) =>
      barsOf(journal.step(position)!, index, T0 + now).map((one) => [one.kind, one.from - T0, one.to - T0]);
    expect(shown('1', 7, 2000)).toEqual([['work', 60, 100]]);
    expect(shown('2', 2, 500)).toEqual([['wait', 120, 500]]);
    expect(shown('2', 7, 2000)).toEqual([['wait', 120, 920], ['work', 920, 930], ['work', 930, 1000]]);
    expect(shown('3', 6, 1300)).toEqual([['wait', 1010, 1300]]);
    expect(tookMs(journal.step('1')!, 7, T0)).toBe(40);
    expect(tookMs(journal.step('2')!, 7, T0)).toBe(880);
    expect(tookMs(journal.step('2')!, 2, T0 + 500)).toBe(380);
  });
});
