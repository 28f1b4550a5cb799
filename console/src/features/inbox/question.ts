import type { Schemas } from '@/shared/api';
import { isMoney, type Money } from '@/shared/format';
import type { Tone } from '@/shared/ui';

export type Question = Schemas['InboxItem'];
export type Kind = NonNullable<Question['kind']>;
export type Risk = 'critical' | 'high' | 'elevated' | 'low' | 'none';

export const RISKS: readonly Risk[] = ['critical', 'high', 'elevated', 'low', 'none'];
const TONES: Record<Risk, Tone> = { critical: 'bad', high: 'bad', elevated: 'warn', low: 'good', none: 'neutral' };
const WORDS: Record<string, Risk> = { critical: 'critical', severe: 'critical', high: 'high', elevated: 'elevated', medium: 'elevated', moderate: 'elevated', low: 'low' };
const SUBJECTS = ['payee', 'vendor', 'supplier', 'customer', 'recipient', 'to', 'name', 'title', 'subject'] as const;

type Tree = Record<string, unknown>;

export function tree(value: unknown): Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Tree) : {};
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value ? value : undefined;
}

/** Whom or what it is about, in a word. */
export function subjectOf(one: Question): string {
  const places = [tree(one.input), tree(one.evidence)];
  for (const place of places) {
    for (const name of SUBJECTS) {
      const found = text(place[name]);
      if (found) return found;
    }
  }
  return one.because || one.action;
}

/** The money that moves: `amount`, or the first there is. */
export function moneyOf(one: Question): Money | undefined {
  const input = tree(one.input);
  return [input.amount, ...Object.values(input)].find(isMoney);
}

export function riskOf(one: Question): Risk {
  if (one.kind === 'incident') return 'high';
  const risk = tree(one.evidence).risk;
  const level = text(risk) ?? text(tree(risk).level);
  return (level && WORDS[level.toLowerCase()]) || 'none';
}

export function toneOf(risk: Risk): Tone {
  return TONES[risk];
}

/** By risk, then by deadline, then by age: what should be read first. */
export function byUrgency(a: Question, b: Question): number {
  return (
    RISKS.indexOf(riskOf(a)) - RISKS.indexOf(riskOf(b)) ||
    (a.expires_ms ?? Infinity) - (b.expires_ms ?? Infinity) ||
    a.asked.localeCompare(b.asked)
  );
}

/** Whether somebody may answer it: by a role it names, or because it was handed to them. */
export function isFor(one: Question, actor: string, roles: readonly string[]): boolean {
  const last = one.said?.filter((said) => said.to).at(-1);
  return one.requester !== actor && (last?.to === actor || one.roles.length === 0 || one.roles.some((role) => roles.includes(role)));
}

/**
 * What two questions must share to be answered together: the same action, asked of the same people,
 * with the same risk, in the same currency, and nothing that somebody has remarked on.
 */
export function classOf(one: Question): string {
  const remarked = (one.said?.length ?? 0) > 0;
  return JSON.stringify([
    one.kind ?? 'approval',
    one.action,
    [...one.roles].sort(),
    riskOf(one),
    moneyOf(one)?.currency ?? '',
    remarked ? one.id : '',
  ]);
}
