import type { Schemas } from '@/shared/api';
import { base64, fromBase64, same, type Bytes } from './bytes';
import { climb, grow, leafHash, reaches, type Fold } from './merkle';
import { parseCheckpoint, parseTlogProof, sameHead, signed, type Checkpoint, type VerifierKey } from './note';

export type Proof = Schemas['ProofOutput'];
export type Event = Schemas['Event'];

/** Something that was checked here: `open` is neither right nor wrong, because nobody could say. */
export interface Step {
  id: 'header' | 'leaf' | 'root' | 'older' | 'newer' | 'kept' | 'head' | 'signature';
  state: 'good' | 'bad' | 'open';
  expected?: string;
  found?: string;
  folds?: Fold[];
}

export interface Checked {
  steps: Step[];
  verdict: 'proven' | 'unsigned' | 'broken';
  head?: Checkpoint;
}

/** A head this browser saw and checked before. */
export interface Kept {
  size: number;
  root: string;
}

const BOUND = ['seq', 'stream', 'stream_seq', 'type', 'version', 'at', 'actor', 'cause', 'correlation', 'payload_digest', 'prev'] as const;

function compared(id: Step['id'], expected: string, found: string | undefined, folds?: Fold[]): Step {
  return { id, state: expected === found ? 'good' : 'bad', expected, ...(found && { found }), ...(folds && { folds }) };
}

function told(bytes: Bytes | undefined): string | undefined {
  return bytes && base64(bytes);
}

function concluded(steps: Step[], head?: Checkpoint): Checked {
  const verdict = steps.some((one) => one.state === 'bad') ? 'broken' : steps.every((one) => one.state === 'good') ? 'proven' : 'unsigned';
  return { steps, verdict, ...(head && { head }) };
}

/** The fields that are shown against those that were hashed. */
function headerStep(event: Event, header: string): Step {
  let said: Record<string, unknown> = {};
  try {
    said = JSON.parse(header) as Record<string, unknown>;
  } catch {
    return { id: 'header', state: 'bad', found: header };
  }
  const wrong = BOUND.find((name) => said[name] !== event[name]);
  if (wrong) return compared('header', `${wrong}: ${String(event[wrong])}`, `${wrong}: ${String(said[wrong])}`);
  const whole = Object.keys(said).length === BOUND.length;
  return { id: 'header', state: whole ? 'good' : 'bad', found: header };
}

async function headSteps(note: string | undefined, size: number, root: Bytes, key: VerifierKey | undefined): Promise<[Step[], Checkpoint?]> {
  if (note === undefined) return [[{ id: 'head', state: 'open' }, { id: 'signature', state: 'open' }]];
  const head = parseCheckpoint(note);
  if (!head) return [[{ id: 'head', state: 'bad' }, { id: 'signature', state: 'bad' }]];
  const steps: Step[] = [
    { id: 'head', state: sameHead(head, size, root) ? 'good' : 'bad', expected: `${size} ${base64(root)}`, found: `${head.size} ${base64(head.root)}` },
  ];
  const fits = key && (await signed(head, key));
  const state = fits === undefined ? (key ? 'bad' : 'open') : fits ? 'good' : 'bad';
  steps.push({ id: 'signature', state, ...(key && { expected: key.fingerprint }) });
  return [steps, head];
}

/** That one event, as it is shown, stands at its place under a signed head. Nothing of it is taken on trust. */
export async function checkInclusion(event: Event, proof: Proof, key: VerifierKey | undefined): Promise<Checked> {
  const header = proof.header ?? '';
  const root = fromBase64(proof.root);
  const path = proof.proof.map(fromBase64);
  const leaf = await leafHash(header);
  const steps = [headerStep(event, header), compared('leaf', proof.leaf ?? '', base64(leaf))];
  if (!root || !path.every((one) => one !== undefined)) return concluded([...steps, { id: 'root', state: 'bad' }]);
  const climbed = await climb(leaf, event.seq - 1, proof.size, path);
  steps.push(compared('root', proof.root, told(climbed.root), climbed.folds));
  const file = proof.tlog_proof ? parseTlogProof(proof.tlog_proof) : undefined;
  const misplaced = file && (file.index !== event.seq - 1 || file.proof.length !== path.length || !file.proof.every((one, at) => same(one, path[at]!)));
  const note = proof.tlog_proof && (!file || misplaced) ? '' : file?.note;
  const [more, head] = await headSteps(note, proof.size, root, key);
  return concluded([...steps, ...more], head);
}

/** That the log only grew since `kept`, a head this browser checked before, or between any two sizes. */
export async function checkGrowth(proof: Proof, kept: Kept | undefined, note: string | undefined, key: VerifierKey | undefined): Promise<Checked> {
  const [before, after] = [fromBase64(proof.old_root ?? ''), fromBase64(proof.root)];
  const path = proof.proof.map(fromBase64);
  if (!before || !after || proof.old_size == null || !path.every((one) => one !== undefined)) {
    return concluded([{ id: 'older', state: 'bad' }]);
  }
  const steps: Step[] = [];
  if (kept?.size === proof.old_size) steps.push(compared('kept', kept.root, proof.old_root ?? undefined));
  const grown = await grow(proof.old_size, proof.size, before, after, path);
  const step = (id: 'older' | 'newer', root: Bytes): Step => ({
    ...compared(id, base64(root), told(grown[id].root), grown[id].folds),
    state: reaches(grown[id], root) ? 'good' : 'bad',
  });
  steps.push(step('older', before), step('newer', after));
  const [more, head] = await headSteps(note, proof.size, after, key);
  return concluded([...steps, ...more], head);
}
