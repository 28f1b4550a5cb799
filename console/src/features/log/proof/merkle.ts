import { join, same, sha256, utf8, type Bytes } from './bytes';

/** One hash that was computed: out of which two, and on which side the one from the proof stood. */
export interface Fold {
  left: Bytes;
  right: Bytes;
  given: 'left' | 'right';
  value: Bytes;
}

export interface Climb {
  folds: Fold[];
  /** What the leaf and the proof come to; undefined when the proof has too few or too many hashes. */
  root: Bytes | undefined;
}

const HASH = 32;
const LEAF = Uint8Array.of(0);
const NODE = Uint8Array.of(1);

export function leafHash(header: string): Promise<Bytes> {
  return sha256(join(LEAF, utf8(header)));
}

export function nodeHash(left: Bytes, right: Bytes): Promise<Bytes> {
  return sha256(join(NODE, left, right));
}

async function fold(value: Bytes, given: Bytes, side: Fold['given']): Promise<Fold> {
  const [left, right] = side === 'left' ? [given, value] : [value, given];
  return { left, right, given: side, value: await nodeHash(left, right) };
}

function sound(index: number, size: number, proof: readonly Bytes[]): boolean {
  const whole = Number.isSafeInteger(index) && Number.isSafeInteger(size);
  return whole && index >= 0 && index < size && proof.every((one) => one.length === HASH);
}

const half = (number: number) => Math.floor(number / 2);
const odd = (number: number) => number % 2 === 1;

/** From a leaf up to the root of a tree of `size` leaves (RFC 9162, 2.1.3.2). Leaves count from 0. */
export async function climb(leaf: Bytes, index: number, size: number, proof: readonly Bytes[]): Promise<Climb> {
  const folds: Fold[] = [];
  if (!sound(index, size, proof)) return { folds, root: undefined };
  let [here, last, value] = [index, size - 1, leaf];
  for (const given of proof) {
    if (last === 0) return { folds, root: undefined };
    const step = await fold(value, given, odd(here) || here === last ? 'left' : 'right');
    if (step.given === 'left') {
      while (!odd(here) && here > 0) [here, last] = [half(here), half(last)];
    }
    folds.push(step);
    value = step.value;
    [here, last] = [half(here), half(last)];
  }
  return { folds, root: last === 0 ? value : undefined };
}

export interface Growth {
  older: Climb;
  newer: Climb;
}

/** Both roots out of one proof that the larger tree only appended (RFC 9162, 2.1.4.2). */
export async function grow(oldSize: number, newSize: number, oldRoot: Bytes, newRoot: Bytes, proof: readonly Bytes[]): Promise<Growth> {
  const no: Climb = { folds: [], root: undefined };
  if (!sound(oldSize, newSize + 1, proof)) return { older: no, newer: no };
  if (oldSize === newSize || oldSize === 0) {
    const empty = oldSize === 0 ? await sha256(new Uint8Array()) : newRoot;
    if (proof.length > 0) return { older: no, newer: no };
    return { older: { folds: [], root: empty }, newer: { folds: [], root: newRoot } };
  }
  const path = Number.isInteger(Math.log2(oldSize)) ? [oldRoot, ...proof] : [...proof];
  let [here, last] = [oldSize - 1, newSize - 1];
  while (odd(here)) [here, last] = [half(here), half(last)];
  const first = path.shift();
  if (!first) return { older: no, newer: no };
  let [before, after] = [first, first];
  const older: Fold[] = [];
  const newer: Fold[] = [];
  for (const given of path) {
    if (last === 0) return { older: no, newer: no };
    if (odd(here) || here === last) {
      const [one, two] = [await fold(before, given, 'left'), await fold(after, given, 'left')];
      older.push(one);
      newer.push(two);
      [before, after] = [one.value, two.value];
      while (!odd(here) && here > 0) [here, last] = [half(here), half(last)];
    } else {
      const two = await fold(after, given, 'right');
      newer.push(two);
      after = two.value;
    }
    [here, last] = [half(here), half(last)];
  }
  const whole = last === 0;
  return {
    older: { folds: older, root: whole ? before : undefined },
    newer: { folds: newer, root: whole ? after : undefined },
  };
}

/** Whether what was computed is what was claimed. */
export function reaches(climbed: Climb, root: Bytes): boolean {
  return climbed.root !== undefined && same(climbed.root, root);
}
