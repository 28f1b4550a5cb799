import { useTranslation } from 'react-i18next';
import { formatMoney, type Money } from './money';
import { absoluteTime, duration } from './time';

export { isMoney, type Money } from './money';
export { millisOf, relativeTime } from './time';

/** Ways of writing in the language that is read now. */
export function useFormat() {
  const { i18n } = useTranslation();
  const locale = i18n.language;
  return {
    locale,
    money: (value: Money) => formatMoney(value, locale),
    number: (value: number, options?: Intl.NumberFormatOptions) => new Intl.NumberFormat(locale, options).format(value),
    percent: (share: number, digits = 0) =>
      new Intl.NumberFormat(locale, { style: 'percent', maximumFractionDigits: digits }).format(share),
    time: (at: number) => absoluteTime(at, locale),
    duration: (ms: number) => duration(ms, locale),
  };
}
