import { describe, expect, it } from 'vitest';
import { formatMoney } from './money';
import { duration, millisOf, relativeTime } from './time';

describe('money', () => {
  it('is written as the reader writes it', () => {
    const value = { micros: 360_242_380_000, currency: 'USD' };
    expect(formatMoney(value, 'en')).toBe('$360,242.38');
    expect(formatMoney(value, 'de')).toBe('360.242,38\u00a0$');
  });
  it('keeps what is less than a cent', () => {
    expect(formatMoney({ micros: 12, currency: 'USD' }, 'en')).toBe('$0.000012');
  });
  it('is still told when the currency is nobody’s', () => {
    expect(formatMoney({ micros: 1_500_000, currency: 'points' }, 'en')).toBe('1.5 points');
  });
});

describe('time', () => {
  it('reads the log’s times, with and without the count behind', () => {
    expect(millisOf('2026-11-23T12:00:00.123Z/0007')).toBe(Date.UTC(2026, 10, 23, 12, 0, 0, 123));
  });
  it('says how far away something is, in the largest whole unit', () => {
    expect(relativeTime(0, 5 * 60_000 + 59_000, 'en')).toBe('5 min. ago');
    expect(relativeTime(26 * 3_600_000, 0, 'en')).toBe('tomorrow');
  });
  it('says how long something took', () => {
    expect(duration(340, 'en')).toBe('340 ms');
    expect(duration(200_000, 'en')).toBe('3 min 20 sec');
  });
});
