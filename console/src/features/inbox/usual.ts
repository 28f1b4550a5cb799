import { isMoney, type Money } from '@/shared/format';
import { tree } from './question';

export interface Case {
  input: unknown;
  evidence: unknown;
}

export type Difference =
  | { path: string; kind: 'first'; value: string; of: number }
  | { path: string; kind: 'new'; value: string; usual: string; seen: number; of: number }
  | { path: string; kind: 'higher' | 'lower'; value: number | Money; low: number | Money; high: number | Money; of: number };

export interface Comparison {
  /** How many earlier cases there are to compare with. */
  of: number;
  /** What they share with this one: `payee` = "…"; undefined where all of the action are compared. */
  anchor?: { path: string; value: string };
  differences: Difference[];
}

type Leaf = string | number | boolean | Money;
const ANCHORS = ['vendor', 'payee', 'supplier', 'customer', 'recipient', 'to'];
const FEW = 2;
/** A field whose value is another one nearly each time names the case, and says nothing by being new. */
const REPEATS = 0.5;
const DEPTH = 4;

/** Every single value, and of lists their length, by where it stands. */
export function leaves(value: unknown, path = '', depth = 0, found = new Map<string, Leaf>()): Map<string, Leaf> {
  if (isMoney(value)) found.set(path, value);
  else if (Array.isArray(value)) found.set(`${path}.length`, value.length);
  else if (typeof value === 'object' && value !== null) {
    if (depth >= DEPTH) return found;
    for (const [name, one] of Object.entries(value)) leaves(one, path ? `${path}.${name}` : name, depth + 1, found);
  } else if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') found.set(path, value);
  return found;
}

const all = (one: Case) => new Map([...leaves(one.input, 'input'), ...leaves(one.evidence, 'evidence')]);

/** What is other in a case than in earlier ones of the same kind. */
export function compare(one: Case, earlier: readonly Case[]): Comparison {
  const anchor = ANCHORS.map((name) => ({ path: name, value: tree(one.input)[name] })).find(
    (at): at is { path: string; value: string } =>
      typeof at.value === 'string' && earlier.filter((past) => tree(past.input)[at.path] === at.value).length >= FEW,
  );
  const cases = anchor ? earlier.filter((past) => tree(past.input)[anchor.path] === anchor.value) : earlier;
  const result: Comparison = { of: cases.length, differences: [], ...(anchor && { anchor }) };
  if (cases.length < FEW) return result;
  const met = ANCHORS.find((name) => typeof tree(one.input)[name] === 'string');
  if (!anchor && met && earlier.every((past) => tree(past.input)[met] !== tree(one.input)[met]))
    result.differences.push({ path: `input.${met}`, kind: 'first', value: String(tree(one.input)[met]), of: cases.length });
  const past = cases.map(all);
  for (const [path, value] of all(one)) {
    const values = past.map((leaf) => leaf.get(path)).filter((leaf) => leaf !== undefined);
    if (result.differences[0]?.path === path) continue; // told as the first already
    const found = differs(path, value, values);
    if (found) result.differences.push(found);
  }
  return result;
}

function differs(path: string, value: Leaf, values: readonly Leaf[]): Difference | undefined {
  if (values.length < FEW) return undefined;
  if (typeof value === 'number' || isMoney(value)) return outside(path, value, values);
  const counts = new Map<string, number>();
  for (const one of values) if (typeof one !== 'object') counts.set(String(one), (counts.get(String(one)) ?? 0) + 1);
  if (counts.has(String(value)) || counts.size / values.length > REPEATS) return undefined;
  const [usual, seen] = [...counts].reduce((most, one) => (one[1] > most[1] ? one : most), ['', 0]);
  return { path, kind: 'new', value: String(value), usual, seen, of: values.length };
}

function outside(path: string, value: number | Money, values: readonly Leaf[]): Difference | undefined {
  const like = values.filter((one): one is number | Money =>
    isMoney(value) ? isMoney(one) && one.currency === value.currency : typeof one === 'number',
  );
  if (like.length < FEW) return undefined;
  const sorted = [...like].sort((a, b) => size(a) - size(b));
  const [low, high] = [sorted[0]!, sorted.at(-1)!];
  if (size(value) > size(high)) return { path, kind: 'higher', value, low, high, of: like.length };
  if (size(value) < size(low)) return { path, kind: 'lower', value, low, high, of: like.length };
  return undefined;
}

const size = (value: number | Money) => (isMoney(value) ? value.micros : value);
