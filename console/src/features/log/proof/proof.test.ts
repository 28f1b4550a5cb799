// @vitest-environment node
import { describe, expect, it } from 'vitest';
import { base64, fromBase64, type Bytes } from './bytes';
import { checkGrowth, checkInclusion, type Event, type Proof } from './check';
import { climb, grow, leafHash, reaches } from './merkle';
import { parseCheckpoint, parseKey, parseTlogProof, signed } from './note';
import vectors from './vectors.json';

// Made by tests/console/proof_vectors.py out of what the server itself uses; `valid` is its verdict.
const bytes = (text: string): Bytes => fromBase64(text)!;
const path = (texts: string[]) => texts.map(bytes);
const event = vectors.event.event as Event;
const proof = vectors.event.proof as Proof;
const key = () => parseKey(vectors.event.key);

describe('a place in the log', () => {
  it('is right or wrong as the server says, for every proof and every change of one', async () => {
    const verdicts = await Promise.all(
      vectors.inclusion.map(async (one) => {
        const climbed = await climb(await leafHash(one.header), one.seq - 1, one.size, path(one.proof));
        return reaches(climbed, bytes(one.root));
      }),
    );
    expect(verdicts).toEqual(vectors.inclusion.map((one) => one.valid));
    expect(verdicts.filter((one) => !one).length).toBeGreaterThan(100);
  });

  it('is hashed byte for byte, also what is no plain letter', async () => {
    const first = vectors.inclusion[0]!;
    expect(first.header).toContain('zoë');
    expect(base64(await leafHash(first.header))).toBe(vectors.leaves[0]);
  });
});

describe('growth of the log', () => {
  it('is right or wrong as the server says, for every proof and every change of one', async () => {
    const verdicts = await Promise.all(
      vectors.growth.map(async (one) => {
        const [before, after] = [bytes(one.old_root), bytes(one.root)];
        const { older, newer } = await grow(one.old_size, one.size, before, after, path(one.proof));
        return reaches(older, before) && reaches(newer, after);
      }),
    );
    expect(verdicts).toEqual(vectors.growth.map((one) => one.valid));
    expect(verdicts.filter((one) => !one).length).toBeGreaterThan(100);
  });

  it('is not believed when it starts from another head than the one that was kept', async () => {
    const one = vectors.growth.find(({ old_size, valid }) => old_size === 33 && valid)! as unknown as Proof;
    const right = await checkGrowth(one, { size: 33, root: one.old_root! }, undefined, undefined);
    expect(right.verdict).toBe('unsigned');
    const wrong = await checkGrowth(one, { size: 33, root: one.root }, undefined, undefined);
    expect(wrong.verdict).toBe('broken');
    expect(wrong.steps.find(({ state }) => state === 'bad')?.id).toBe('kept');
  });
});

describe('a signed head', () => {
  it.each(vectors.heads)('with $name is judged as by the server', async ({ note, key: text, fingerprint, valid }) => {
    const [head, one] = [parseCheckpoint(note)!, (await parseKey(text))!];
    expect(one.fingerprint).toBe(fingerprint);
    expect((await signed(head, one)) ?? false).toBe(valid);
  });

  it('is not read when it is written otherwise', () => {
    const right = vectors.heads[0]!.note;
    expect(parseCheckpoint(right)?.size).toBe(70);
    for (const wrong of [right.trimEnd(), right.replace('\n70\n', '\n070\n'), right.replace('— ', '- '), '', 'a\n1\n']) {
      expect(parseCheckpoint(wrong)).toBeUndefined();
    }
  });

  it('is checked with a key whose own hash fits only', async () => {
    expect(await key()).toBeDefined();
    expect(await parseKey(vectors.event.key.replace(/\+\w{8}\+/, '+00000000+'))).toBeUndefined();
    expect(await parseKey('nothing')).toBeUndefined();
  });
});

describe('an event', () => {
  it('is proven under the key of the log, step by step', async () => {
    const found = await checkInclusion(event, proof, await key());
    expect(found.verdict).toBe('proven');
    expect(found.steps.map(({ id, state }) => `${id} ${state}`)).toEqual(['header good', 'leaf good', 'root good', 'head good', 'signature good']);
    expect(found.steps[2]!.folds).toHaveLength(proof.proof.length);
  });

  it('without a signed head, or without a key, is in the tree and no more is said', async () => {
    expect((await checkInclusion(event, { ...proof, tlog_proof: null }, await key())).verdict).toBe('unsigned');
    expect((await checkInclusion(event, proof, undefined)).verdict).toBe('unsigned');
  });

  const other = vectors.inclusion.find((one) => one.seq === 5 && one.valid)!;
  it.each([
    ['header', 'other words than were hashed', { ...event, actor: 'person:eve' }, proof],
    ['header', 'no header', event, { ...proof, header: '' }],
    ['leaf', 'a header that was changed with it', { ...event, actor: 'person:eve' }, { ...proof, header: proof.header!.replace('agent:matcher', 'person:eve') }],
    ['root', 'another place', event, { ...proof, proof: other.proof }],
    ['root', 'another root', event, { ...proof, root: other.root }],
    ['head', 'a head that says something else', event, { ...proof, tlog_proof: proof.tlog_proof!.replace('\n70\n', '\n71\n') }],
    ['head', 'a file about another event', event, { ...proof, tlog_proof: proof.tlog_proof!.replace('index 41', 'index 40') }],
  ] as [string, string, Event, Proof][])('fails at the %s with %s', async (step, _, one, told) => {
    const found = await checkInclusion(one, told, await key());
    expect(found.verdict).toBe('broken');
    expect(found.steps.filter(({ state }) => state === 'bad').map(({ id }) => id)).toContain(step);
  });

  it('fails under somebody else’s key', async () => {
    const text = vectors.heads[0]!.key;
    const [name] = text.split('+');
    const forged = { ...(await parseKey(text))!, name: `${name}x` };
    expect((await checkInclusion(event, proof, forged)).verdict).toBe('broken');
  });

  it('carries the same proof in the file for others', () => {
    const file = parseTlogProof(proof.tlog_proof!)!;
    expect(file.index).toBe(41);
    expect(file.proof.map(base64)).toEqual(proof.proof);
  });
});
