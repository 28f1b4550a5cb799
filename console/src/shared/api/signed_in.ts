import { createContext, useContext } from 'react';
import { useReading } from './call';
import type { Session } from './session';

export const SessionContext = createContext<Session | undefined>(undefined);

/** Who is signed in. */
export function useSession(): Session {
  const found = useContext(SessionContext);
  if (!found) throw new Error('useSession is for what is shown to somebody who is signed in');
  return found;
}

/** The roles of who is signed in, in this namespace; undefined while nobody knows yet. */
export function useMay(): { roles: readonly string[] | undefined; may: (role: string) => boolean } {
  const { data } = useReading('server.whoami', {}, { staleMs: 60_000, live: ['grant.', 'access.'] });
  const roles = data?.roles;
  return { roles, may: (role) => roles?.some((one) => one === role || one === 'admin') ?? false };
}
