/** An error as the server tells it (RFC 9457), with its stable dotted code. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly hint?: string,
    readonly details?: unknown,
  ) {
    super(message);
    this.name = 'Problem';
  }
}

/** The server cannot be reached: it restarts, or the network is gone. */
export class Offline extends Error {
  constructor() {
    super('the server cannot be reached');
    this.name = 'Offline';
  }
}

interface Told {
  code?: unknown;
  detail?: unknown;
  title?: unknown;
  hint?: unknown;
  details?: unknown;
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value ? value : undefined;
}

export function problemOf(status: number, body: unknown): Problem {
  const told: Told = typeof body === 'object' && body !== null ? body : {};
  return new Problem(
    status,
    text(told.code) ?? `http.${status}`,
    text(told.detail) ?? text(told.title) ?? `HTTP ${status}`,
    text(told.hint),
    told.details,
  );
}

/** Whether the same request may do better in a moment. */
export function passes(error: unknown): boolean {
  return error instanceof Offline || (error instanceof Problem && [502, 503, 504].includes(error.status));
}
