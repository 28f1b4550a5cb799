const STEPS: readonly [Intl.RelativeTimeFormatUnit, number][] = [
  ['year', 31_557_600_000],
  ['month', 2_629_800_000],
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
  ['second', 1_000],
];

/** Milliseconds of a time as the log writes it: `2026-11-23T12:00:00.123Z`, also with `/0007` behind it. */
export function millisOf(at: string | number): number {
  return typeof at === 'number' ? at : Date.parse(at.split('/')[0] ?? '');
}

export function relativeTime(at: number, now: number, locale: string): string {
  const distance = at - now;
  const format = new Intl.RelativeTimeFormat(locale, { numeric: 'auto', style: 'short' });
  for (const [unit, size] of STEPS) {
    if (Math.abs(distance) >= size) return format.format(Math.trunc(distance / size), unit);
  }
  return format.format(0, 'second');
}

export function absoluteTime(at: number, locale: string): string {
  return new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'medium' }).format(at);
}

/** How long something took: `340 ms`, `12 s`, `3 min 20 s`, `2 h 5 min`. */
export function duration(ms: number, locale: string): string {
  const part = (value: number, unit: string, digits = 0) =>
    new Intl.NumberFormat(locale, {
      style: 'unit',
      unit,
      unitDisplay: 'short',
      maximumFractionDigits: digits,
    }).format(value);
  if (ms < 1_000) return part(Math.round(ms), 'millisecond');
  const seconds = ms / 1_000;
  if (seconds < 60) return part(seconds, 'second', seconds < 10 ? 1 : 0);
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${part(minutes, 'minute')} ${part(Math.floor(seconds % 60), 'second')}`;
  return `${part(Math.floor(minutes / 60), 'hour')} ${part(minutes % 60, 'minute')}`;
}
