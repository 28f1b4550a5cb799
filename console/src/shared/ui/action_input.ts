/** A field of an action as the server describes it: `GET /v1/actions/NAME`. */
export interface ActionField {
  name: string;
  kind: string;
  required: boolean;
  default?: unknown;
  description?: string;
  examples?: readonly unknown[];
  choices?: readonly string[];
  file?: string;
}

export interface ActionDescription {
  action: string;
  summary: string;
  description?: string;
  effect: 'pure' | 'read' | 'write' | 'irreversible';
  fields?: readonly ActionField[];
  command?: string;
}

export interface Attached {
  name: string;
  base64: string;
}

export type Typed = Readonly<Record<string, string | boolean | readonly Attached[]>>;
export type Fault = 'needed' | 'whole' | 'number' | 'json';

const SECRETS = ['password_file', 'code_file', 'token_file', 'secret_file'];

/** Whether what is typed must not be seen by who stands behind. */
export function isSecret(field: ActionField): boolean {
  return SECRETS.includes(field.name);
}

/** What a field holds before somebody types. */
export function startOf(field: ActionField): string | boolean {
  if (field.kind === 'flag') return field.default === true;
  if (isSecret(field) || field.default === undefined || field.default === null) return '';
  if (Array.isArray(field.default)) return field.default.join('\n');
  return typeof field.default === 'string' ? field.default : JSON.stringify(field.default);
}

function read(field: ActionField, text: string): unknown {
  if (field.file) return { name: field.name, text };
  switch (field.kind) {
    case 'integer':
      if (!/^[-+]?\d+$/.test(text.trim())) throw new Error('whole');
      return Number(text);
    case 'number':
      if (text.trim() === '' || Number.isNaN(Number(text))) throw new Error('number');
      return Number(text);
    case 'json':
      try {
        return JSON.parse(text) as unknown;
      } catch {
        throw new Error('json');
      }
    default:
      return text;
  }
}

function valueOf(field: ActionField, typed: Typed[string] | undefined): unknown {
  if (typeof typed === 'boolean') return typed;
  if (typeof typed === 'object') return field.kind === 'list' ? typed : typed[0];
  const text = typed ?? '';
  if (text === '') {
    if (field.required) throw new Error('needed');
    return undefined;
  }
  if (field.kind !== 'list') return read(field, text);
  return field.file ? [read(field, text)] : text.split('\n').map((one) => one.trim()).filter(Boolean);
}

/** What is sent, or what is wrong with which field. What stays empty is left out, so that the server's default holds. */
export function inputOf(
  fields: readonly ActionField[],
  typed: Typed,
): { input: Record<string, unknown>; faults: Record<string, Fault> } {
  const input: Record<string, unknown> = {};
  const faults: Record<string, Fault> = {};
  for (const field of fields) {
    try {
      const value = valueOf(field, typed[field.name]);
      if (value !== undefined) input[field.name] = value;
    } catch (error) {
      faults[field.name] = (error as Error).message as Fault;
    }
  }
  return { input, faults };
}
