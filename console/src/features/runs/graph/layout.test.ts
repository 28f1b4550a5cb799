import { describe, expect, it } from 'vitest';
import { Journal, type Step } from '../journal';
import { layOut } from './layout';

function stepsAt(...positions: string[]): readonly Step[] {
  const journal = new Journal('run/a');
  journal.add(
    positions.map((position, at) => ({
      seq: at + 1, stream: 'run/a', stream_seq: at + 1, type: 'step.completed', at: '2026-11-24T00:00:00.000Z/0000',
      actor: 'person:ada', payload: { position, name: `step ${position}`, ms: 1 },
    })),
  );
  return journal.steps;
}

const none: ReadonlySet<string> = new Set();

describe('the layout of a run', () => {
  it('puts what follows further on and what is parallel one under the other', () => {
    const drawn = layOut(stepsAt('1', '2.1.1', '2.1.2', '2.0.1', '3'), 9, none);
    const at = new Map(drawn.nodes.map((one) => [one.id, one]));
    expect(drawn.edges.map((one) => `${one.from}>${one.to}`).sort()).toEqual(
      ['1>2.0.1', '1>2.1.1', '2.0.1>3', '2.1.1>2.1.2', '2.1.2>3'].sort(),
    );
    expect(at.get('1')!.x).toBeLessThan(at.get('2.0.1')!.x);
    expect(at.get('2.0.1')!.x).toBe(at.get('2.1.1')!.x);
    expect(at.get('2.0.1')!.y).toBeLessThan(at.get('2.1.1')!.y);
    expect(at.get('2.1.2')!.x).toBeLessThan(at.get('3')!.x);
  });

  it('counts in numbers: ten comes after nine', () => {
    const drawn = layOut(stepsAt('10', '9'), 9, none);
    expect(drawn.edges).toEqual([{ from: '9', to: '10' }]);
  });

  it('draws a wide fan as one box until it is opened, and no box over another', () => {
    const wide = stepsAt('1', ...Array.from({ length: 40 }, (_, lane) => `2.${lane}.1`), '3');
    const closed = layOut(wide, 99, none);
    expect(closed.nodes.map((one) => one.id)).toEqual(['1', 'fan 2', '3']);
    expect(closed.nodes[1]!.fan).toMatchObject({ lanes: 40, standing: { done: 40 } });
    const open = layOut(wide, 99, new Set(['2']));
    expect(new Set(open.nodes.map((one) => `${one.x} ${one.y}`)).size).toBe(42);
    expect(open.edges).toHaveLength(80);
  });
});
