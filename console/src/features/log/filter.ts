import type { Event } from './proof/check';

/** What is looked for; the address holds it. */
export interface Filter {
  type: string;
  stream: string;
  actor: string;
  text: string;
  since: string;
  until: string;
}

export const FIELDS = ['type', 'stream', 'actor', 'text', 'since', 'until'] as const;

export function filterOf(params: URLSearchParams): Filter {
  const [type, stream, actor, text, since, until] = FIELDS.map((name) => params.get(name)?.trim() ?? '');
  return { type: type!, stream: stream!, actor: actor!, text: text!, since: since!, until: until! };
}

export function isEmpty(filter: Filter): boolean {
  return FIELDS.every((name) => !filter[name]);
}

/** Whether the server can look for it alone, without payloads being read here. */
export function isPlain(filter: Filter): boolean {
  return !filter.actor && !filter.text;
}

/** A time of the reader's clock as the log writes it. */
export function instant(local: string): string | undefined {
  const found = new Date(local);
  return local && !Number.isNaN(found.getTime()) ? found.toISOString() : undefined;
}

function typed(type: string, wanted: string): boolean {
  return wanted.endsWith('*') ? type.startsWith(wanted.slice(0, -1)) : type === wanted;
}

/** Whether an event is looked for; times are left to whoever knows where they lie. */
export function fits(event: Event, filter: Filter): boolean {
  if (filter.type && !typed(event.type, filter.type)) return false;
  if (filter.stream && !event.stream.startsWith(filter.stream)) return false;
  if (filter.actor && !event.actor.toLowerCase().includes(filter.actor.toLowerCase())) return false;
  if (!filter.text) return true;
  const wanted = filter.text.toLowerCase();
  return [event.type, event.stream, event.actor, JSON.stringify(event.payload)].some((one) => one.toLowerCase().includes(wanted));
}

function field(payload: unknown, name: string): string | undefined {
  const found = typeof payload === 'object' && payload !== null ? (payload as Record<string, unknown>)[name] : undefined;
  return typeof found === 'string' && found ? found : undefined;
}

/** What an event is about, in the words of whoever wrote it. */
export function about(event: Event): string {
  const names = ['name', 'action', 'workflow', 'reason', 'because', 'subject'];
  const told = names.map((name) => field(event.payload, name)).find(Boolean);
  return told ?? event.stream.split('/').slice(2).join('/');
}
