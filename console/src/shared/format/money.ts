export interface Money {
  micros: number;
  currency: string;
}

const MICROS = 1_000_000;

export function isMoney(value: unknown): value is Money {
  return (
    typeof value === 'object' &&
    value !== null &&
    typeof (value as Money).micros === 'number' &&
    typeof (value as Money).currency === 'string'
  );
}

/** Money in the reader's way of writing; what is less than a cent keeps its digits. */
export function formatMoney({ micros, currency }: Money, locale: string): string {
  const amount = micros / MICROS;
  const tiny = micros !== 0 && Math.abs(micros) < MICROS / 100;
  const digits = tiny ? { maximumFractionDigits: 6 } : {};
  try {
    return new Intl.NumberFormat(locale, { style: 'currency', currency, ...digits }).format(amount);
  } catch {
    return `${new Intl.NumberFormat(locale, digits).format(amount)} ${currency}`;
  }
}
