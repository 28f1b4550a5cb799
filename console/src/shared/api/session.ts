import { Offline, problemOf } from './problem';

export interface Session {
  actor: string;
  csrf: string;
  expires_ms: number | null;
}

let current: Session | undefined;

/** The token that every change carries, so that no other site's page can have it made. */
export function csrf(): string {
  return current?.csrf ?? '';
}

export function signIn(): void {
  const here = location.pathname + location.search + location.hash;
  location.assign(`/login?next=${encodeURIComponent(here)}`);
}

/** Ask who is signed in; undefined when nobody is. */
export async function loadSession(): Promise<Session | undefined> {
  let response: Response;
  try {
    response = await fetch('/auth/session', { headers: { accept: 'application/json' } });
  } catch {
    throw new Offline();
  }
  if (response.status === 401) return undefined;
  const body: unknown = await response.json().catch(() => undefined);
  if (!response.ok) throw problemOf(response.status, body);
  current = body as Session;
  return current;
}

export async function signOut(): Promise<void> {
  await fetch('/logout', {
    method: 'POST',
    headers: { accept: 'application/json', 'content-type': 'application/json' },
    body: JSON.stringify({ csrf: csrf() }),
  });
  location.assign('/login?next=/console/');
}
