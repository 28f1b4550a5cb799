import { describe, expect, it } from 'vitest';
import { compare, type Case } from './usual';

const usd = (units: number) => ({ micros: units * 1_000_000, currency: 'USD' });
const paid = (units: number, account = '111', reference = `R${units}`): Case => ({
  input: { vendor: 'acme', account, amount: usd(units), reference },
  evidence: { exceptions: [], risk: { level: 'low' } },
});

describe('the difference to the usual case', () => {
  it('is nothing where all is as ever', () => {
    expect(compare(paid(150), [paid(100), paid(200)]).differences).toEqual([]);
  });

  it('is another bank account, and how often the known one was used', () => {
    const { differences } = compare(paid(150, '999'), [paid(100), paid(200), paid(120)]);
    expect(differences).toEqual([{ path: 'input.account', kind: 'new', value: '999', usual: '111', seen: 3, of: 3 }]);
  });

  it('is an amount beyond what there was, in the same currency only', () => {
    const euros: Case = { input: { vendor: 'acme', amount: { micros: 9e12, currency: 'EUR' } }, evidence: {} };
    const { differences } = compare(paid(500), [paid(100), paid(200), euros]);
    expect(differences).toEqual([
      { path: 'input.amount', kind: 'higher', value: usd(500), low: usd(100), high: usd(200), of: 2 },
    ]);
  });

  it('says nothing of what names the case and is new each time', () => {
    const paths = compare(paid(150, '111', 'R-new'), [paid(100), paid(200)]).differences.map((one) => one.path);
    expect(paths).not.toContain('input.reference');
  });

  it('compares with the same vendor where it was met before, else with all', () => {
    const other: Case = { input: { vendor: 'bolt', account: '222', amount: usd(9) }, evidence: {} };
    expect(compare(paid(150), [paid(100), paid(200), other])).toMatchObject({ of: 2, anchor: { path: 'vendor', value: 'acme' } });
    expect(compare(other, [paid(100), paid(200)]).anchor).toBeUndefined();
  });

  it('is a vendor that was never paid before', () => {
    const other: Case = { input: { vendor: 'bolt', amount: usd(150) }, evidence: {} };
    expect(compare(other, [paid(100), paid(200)]).differences).toEqual([
      { path: 'input.vendor', kind: 'first', value: 'bolt', of: 2 },
    ]);
  });

  it('counts what is in lists', () => {
    const odd: Case = { ...paid(150), evidence: { exceptions: ['twice'], risk: { level: 'low' } } };
    expect(compare(odd, [paid(100), paid(200)]).differences).toEqual([
      { path: 'evidence.exceptions.length', kind: 'higher', value: 1, low: 0, high: 0, of: 2 },
    ]);
  });
});
