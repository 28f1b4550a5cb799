import type { Tone } from '@/shared/ui';

/** How an event's type is underlined; the word itself says what happened. */
export function tone(type: string): Tone {
  if (/(failed|denied|rejected|opened|exceeded|refused)$/.test(type)) return 'bad';
  if (type.startsWith('approval.')) return 'warn';
  if (/^effect\.confirmed$|^run\.completed$/.test(type)) return 'good';
  if (type.startsWith('effect.')) return 'info';
  if (type.startsWith('run.')) return 'accent';
  return 'neutral';
}
