import { describe, expect, it } from 'vitest';
import { burnOf } from './burn';
import { moneys } from './money';

const at = (second: number) => new Date(second * 1_000).toISOString();

describe('what was spent by when', () => {
  it('adds up in the order in which runs ended, a line a currency', () => {
    const runs = [
      { started: at(20), ended: at(40), cost: { USD: '2.50' } },
      { started: at(10), ended: at(30), cost: { USD: '1.00', EUR: '4.00' } },
      { started: at(5), ended: null, cost: { EUR: '0.25' } },
    ];
    expect(burnOf(runs, 60_000)).toEqual({
      at: [5, 30, 40, 60],
      lines: [
        { currency: 'EUR', total: [0, 4, 4, 4.25] },
        { currency: 'USD', total: [0, 1, 3.5, 3.5] },
      ],
    });
  });

  it('is nothing where nothing ran', () => {
    expect(burnOf([], 0)).toEqual({ at: [], lines: [] });
  });

  it('keeps sums exact', () => {
    expect(moneys({ USD: '12.34', EUR: '0.000001' })).toEqual([
      { micros: 12_340_000, currency: 'USD' },
      { micros: 1, currency: 'EUR' },
    ]);
  });
});
