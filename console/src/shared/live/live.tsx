import { useQueryClient, type Query } from '@tanstack/react-query';
import { createContext, useContext, useEffect, useRef, useState, useSyncExternalStore, type ReactNode } from 'react';
import { namespace } from '@/shared/api';
import { LiveConnection, type Heard, type Standing } from './connection';

const Live = createContext<LiveConnection | undefined>(undefined);
const GATHER_MS = 150;

function here(): string {
  return `${location.origin.replace(/^http/, 'ws')}/ws?namespace=${encodeURIComponent(namespace())}`;
}

function touched(query: Query, types: ReadonlySet<string>): boolean {
  const live = query.meta?.live as readonly string[] | undefined;
  return live?.some((begin) => [...types].some((type) => type.startsWith(begin))) ?? false;
}

/** Follows the namespace's events for the whole page, and has what they touch read anew. */
export function LiveProvider({ children }: { children: ReactNode }) {
  const client = useQueryClient();
  const [connection] = useState(() => new LiveConnection(here()));

  useEffect(() => {
    let types = new Set<string>();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const flush = () => {
      const seen = types;
      types = new Set();
      timer = undefined;
      void client.invalidateQueries({ predicate: (query) => touched(query, seen) });
    };
    const deaf = connection.hear((event) => {
      types.add(event.type);
      timer ??= setTimeout(flush, GATHER_MS);
    });
    const back = connection.resumed(() => void client.invalidateQueries());
    connection.open();
    return () => {
      deaf();
      back();
      clearTimeout(timer);
      connection.close();
    };
  }, [client, connection]);

  return <Live value={connection}>{children}</Live>;
}

function useConnection(): LiveConnection {
  const found = useContext(Live);
  if (!found) throw new Error('there is no LiveProvider above');
  return found;
}

export function useStanding(): Standing {
  const connection = useConnection();
  return useSyncExternalStore(connection.watch, () => connection.standing);
}

/** Hear every event of the namespace as it comes. */
export function useLive(heard: Heard): void {
  const connection = useConnection();
  const latest = useRef(heard);
  useEffect(() => {
    latest.current = heard;
  });
  useEffect(() => connection.hear((event) => latest.current(event)), [connection]);
}
