export const LANGUAGES = {
  en: 'English',
  de: 'Deutsch',
  fr: 'Français',
  es: 'Español',
  zh: '中文',
  ar: 'العربية',
} as const;

export type Language = keyof typeof LANGUAGES;
export const CODES = Object.keys(LANGUAGES) as Language[];
const RIGHT_TO_LEFT: ReadonlySet<string> = new Set<Language>(['ar']);

export function direction(language: string): 'ltr' | 'rtl' {
  return RIGHT_TO_LEFT.has(language) ? 'rtl' : 'ltr';
}

/** The first language that the person reads and we speak. */
export function preferred(wanted: readonly string[]): Language {
  for (const one of wanted) {
    const code = one.toLowerCase().split('-')[0] as Language;
    if (code in LANGUAGES) return code;
  }
  return 'en';
}
