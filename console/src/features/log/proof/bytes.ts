export type Bytes = Uint8Array<ArrayBuffer>;

export function utf8(text: string): Bytes {
  return Uint8Array.from(new TextEncoder().encode(text));
}

/** Base64 in its one right spelling, so that no byte of a proof is slack; undefined for anything else. */
export function fromBase64(text: string): Bytes | undefined {
  try {
    const found = Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
    return base64(found) === text ? found : undefined;
  } catch {
    return undefined;
  }
}

export function base64(bytes: Bytes): string {
  return btoa(String.fromCharCode(...bytes));
}

export function hex(bytes: Bytes): string {
  return Array.from(bytes, (one) => one.toString(16).padStart(2, '0')).join('');
}

export function join(...parts: readonly Bytes[]): Bytes {
  const whole = new Uint8Array(parts.reduce((size, one) => size + one.length, 0));
  let at = 0;
  for (const one of parts) {
    whole.set(one, at);
    at += one.length;
  }
  return whole;
}

export function same(left: Bytes, right: Bytes): boolean {
  return left.length === right.length && left.every((one, at) => one === right[at]);
}

/** Done by the browser itself; it has no hashing on pages that came over plain HTTP from elsewhere. */
export async function sha256(bytes: Bytes): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
}
