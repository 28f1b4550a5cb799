import { fromBase64, hex, join, same, sha256, utf8, type Bytes } from './bytes';

/** The signed head of a log (C2SP tlog-checkpoint): whose log, how many events, their root. */
export interface Checkpoint {
  text: string;
  origin: string;
  size: number;
  root: Bytes;
  signatures: readonly { name: string; keyId: string; value: Bytes }[];
}

export interface VerifierKey {
  text: string;
  name: string;
  keyId: string;
  public: Bytes;
  fingerprint: string;
}

const ED25519 = 1;
const LINE = /^— (\S+) (\S+)$/;
const SIZE = /^(0|[1-9][0-9]*)$/;

export function parseCheckpoint(note: string): Checkpoint | undefined {
  const gap = note.lastIndexOf('\n\n');
  const [text, tail] = [note.slice(0, gap + 1), note.slice(gap + 2)];
  const [origin, size, rootText, ...rest] = text.split('\n');
  const root = fromBase64(rootText ?? '');
  if (gap < 0 || !tail.endsWith('\n') || !origin || !size || !SIZE.test(size)) return undefined;
  if (root?.length !== 32 || rest.at(-1) !== '') return undefined;
  const signatures = [];
  for (const line of tail.slice(0, -1).split('\n')) {
    const found = LINE.exec(line);
    const raw = found && fromBase64(found[2]!);
    if (!raw || raw.length < 5) return undefined;
    signatures.push({ name: found[1]!, keyId: hex(raw.slice(0, 4)), value: raw.slice(4) });
  }
  return { text, origin, size: Number(size), root, signatures };
}

/** The head that travels in a C2SP tlog-proof, and the place and path it says. */
export function parseTlogProof(text: string): { index: number; proof: Bytes[]; note: string } | undefined {
  const at = text.indexOf('\n\n');
  const [version, place, ...lines] = text.slice(0, at).split('\n');
  const index = /^index (\d+)$/.exec(place ?? '');
  const proof = lines.map(fromBase64);
  if (at < 0 || version !== 'c2sp.org/tlog-proof@v1' || !index) return undefined;
  if (!proof.every((one) => one !== undefined)) return undefined;
  return { index: Number(index[1]), proof, note: text.slice(at + 2) };
}

/** A public key as it is told from one to another: NAME+8 HEX DIGITS+BASE64. The hash in it is checked. */
export async function parseKey(text: string): Promise<VerifierKey | undefined> {
  const [name, keyId, body, ...more] = [...text.trim().split('+', 2), text.trim().split('+').slice(2).join('+')];
  const data = fromBase64(body ?? '');
  if (!name || !keyId || more.length > 0 || data?.length !== 33 || data[0] !== ED25519) return undefined;
  const told = await sha256(join(utf8(`${name}\n`), data));
  if (hex(told.slice(0, 4)) !== keyId) return undefined;
  const key = data.slice(1);
  return { text: text.trim(), name, keyId, public: key, fingerprint: `sha256:${hex(await sha256(key))}` };
}

/** Whether the key really signed the head; undefined when it did not sign at all. */
export async function signed(head: Checkpoint, key: VerifierKey): Promise<boolean | undefined> {
  const by = head.signatures.find((one) => one.name === key.name && one.keyId === key.keyId);
  if (!by) return undefined;
  const found = await crypto.subtle.importKey('raw', key.public, 'Ed25519', false, ['verify']);
  return crypto.subtle.verify('Ed25519', found, by.value, utf8(head.text));
}

export function sameHead(head: Checkpoint, size: number, root: Bytes): boolean {
  return head.size === size && same(head.root, root);
}
