import { describe, expect, it } from 'vitest';
import { byUrgency, classOf, isFor, moneyOf, riskOf, subjectOf, type Question } from './question';

const one = (change: Partial<Question> = {}): Question => ({
  id: 'a', run: 'r/1', position: '1', action: 'payments.send', because: '', roles: ['cfo'], requester: 'agent:drafter',
  input: { payee: 'ACME', amount: { micros: 5_000_000, currency: 'USD' } }, evidence: { risk: { level: 'low' } },
  binding: 'sha256:a', asked: '2026-11-24T02:00:00Z', ...change,
});

describe('a question', () => {
  it('is told by its payee, its money and its risk', () => {
    expect([subjectOf(one()), moneyOf(one())?.micros, riskOf(one())]).toEqual(['ACME', 5_000_000, 'low']);
  });

  it('comes earlier with more risk, then with less time', () => {
    const risky = one({ id: 'risky', evidence: { risk: { level: 'elevated' } }, expires_ms: 9 });
    const soon = one({ id: 'soon', expires_ms: 1 });
    const late = one({ id: 'late', expires_ms: 5 });
    expect([late, soon, risky].sort(byUrgency).map((found) => found.id)).toEqual(['risky', 'soon', 'late']);
  });

  it('is for who holds a role it names or was handed it, and never for who asked', () => {
    expect(isFor(one(), 'person:ada', ['cfo'])).toBe(true);
    expect(isFor(one(), 'person:ada', ['buyer'])).toBe(false);
    expect(isFor(one({ said: [{ by: 'person:bo', at: '', text: 'away', to: 'person:ada', roles: ['cfo'] }] }), 'person:ada', [])).toBe(true);
    expect(isFor(one({ requester: 'person:ada' }), 'person:ada', ['cfo'])).toBe(false);
  });

  it('is of one class with others only where nothing that matters differs', () => {
    const same = one({ id: 'b', input: { payee: 'BOLT', amount: { micros: 7, currency: 'USD' } } });
    expect(classOf(same)).toBe(classOf(one()));
    for (const other of [
      one({ action: 'orders.send' }),
      one({ roles: ['controller'] }),
      one({ evidence: { risk: { level: 'high' } } }),
      one({ input: { amount: { micros: 1, currency: 'EUR' } } }),
      one({ said: [{ by: 'person:bo', at: '', text: 'why?' }] }),
    ])
      expect(classOf(other)).not.toBe(classOf(one()));
  });
});
