import {
  queryOptions,
  useMutation,
  useQuery,
  useQueryClient,
  type UseMutationResult,
  type UseQueryResult,
} from '@tanstack/react-query';
import { useRef } from 'react';
import { api } from './client';
import type { paths } from './generated/schema';
import { passes } from './problem';

export type ActionName = {
  [P in keyof paths]: P extends `/v1/actions/${infer N}` ? N : never;
}[keyof paths];

type Post<N extends ActionName> = paths[`/v1/actions/${N}`] extends { post: infer P } ? P : never;
type Json<T> = T extends { content: { 'application/json': infer B } } ? B : never;

export type Input<N extends ActionName> =
  Post<N> extends { requestBody?: infer B } ? Json<NonNullable<B>> : Record<string, never>;
export type Output<N extends ActionName> =
  Post<N> extends { responses: { 200: infer R } } ? Json<R> : unknown;

interface Loose {
  POST(path: string, init: object): Promise<{ data?: unknown }>;
}

export interface Sent {
  signal?: AbortSignal;
  /** The same key is the same call, also across a restart of the server. */
  key?: string;
}

/** Call one action. The types come from the server's description of it. */
export async function call<N extends ActionName>(
  name: N,
  input: Input<N>,
  { signal, key }: Sent = {},
): Promise<Output<N>> {
  const { data } = await (api as unknown as Loose).POST(`/v1/actions/${name}`, {
    body: input,
    ...(signal && { signal }),
    ...(key && { headers: { 'idempotency-key': key } }),
  });
  return data as Output<N>;
}

export interface Reading {
  /** Beginnings of event types after which the answer is asked for anew: `run.`, `approval.`. */
  live?: readonly string[];
  enabled?: boolean;
  staleMs?: number;
}

export function reading<N extends ActionName>(name: N, input: Input<N>, { live = [], enabled = true, staleMs = 5_000 }: Reading = {}) {
  return queryOptions({
    queryKey: [name, input] as const,
    queryFn: ({ signal }) => call(name, input, { signal }),
    meta: { live },
    enabled,
    staleTime: staleMs,
  });
}

/** What an action that reads answers, kept, and fresh while events come. */
export function useReading<N extends ActionName>(
  name: N,
  input: Input<N>,
  options?: Reading,
): UseQueryResult<Output<N>> {
  return useQuery(reading(name, input, options));
}

/**
 * An action that changes something. Sent again with the same key until the server has answered, so
 * that a restart in between neither loses nor doubles it; every reading is fresh afterwards.
 */
export function useAct<N extends ActionName>(name: N): UseMutationResult<Output<N>, Error, Input<N>> {
  const client = useQueryClient();
  const keys = useRef(new WeakMap<object, string>());
  return useMutation({
    mutationFn: (input: Input<N>) => {
      const key = keys.current.get(input) ?? crypto.randomUUID();
      keys.current.set(input, key);
      return call(name, input, { key });
    },
    retry: (count, error) => passes(error) && count < 60,
    retryDelay: (count) => Math.min(250 * 2 ** count, 3_000),
    networkMode: 'always',
    onSettled: () => void client.invalidateQueries(),
  });
}
