import i18next, { type BackendModule } from 'i18next';
import { initReactI18next } from 'react-i18next';
import { direction, preferred, type Language } from './languages';

export { CODES, LANGUAGES, direction, type Language } from './languages';

const KEY = 'squad.language';
type Words = { default: Record<string, unknown> };
const files = import.meta.glob<Words>([
  '/src/app/words/*.json',
  '/src/shared/ui/words/*.json',
  '/src/features/*/words/*.json',
]);
const PLACES = [
  (name: string) => `/src/features/${name}`,
  (name: string) => `/src/${name}`,
  (name: string) => `/src/shared/${name}`,
];

/** Words come by language and by feature, when they are needed. */
const words: BackendModule = {
  type: 'backend',
  init: () => undefined,
  read(language, name, told) {
    const load = PLACES.map((place) => files[`${place(name)}/words/${language}.json`]).find(Boolean);
    if (!load) return told(new Error(`no words for ${name} in ${language}`), false);
    load().then(
      (found) => told(null, found.default),
      (error: Error) => told(error, true),
    );
  },
};

function kept(): string | null {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}

function show(language: string): void {
  document.documentElement.lang = language;
  document.documentElement.dir = direction(language);
}

export async function startWords(): Promise<void> {
  const first = kept();
  i18next.on('languageChanged', show);
  await i18next
    .use(words)
    .use(initReactI18next)
    .init({
      lng: preferred(first ? [first] : navigator.languages),
      fallbackLng: 'en',
      ns: ['app', 'ui'],
      defaultNS: 'app',
      interpolation: { escapeValue: false },
      returnNull: false,
    });
}

/** Have the words of a feature ready before it is shown. */
export async function loadWords(name: string): Promise<void> {
  await i18next.loadNamespaces(name);
}

export async function setLanguage(language: Language): Promise<void> {
  try {
    localStorage.setItem(KEY, language);
  } catch {
    // it holds until the page is left
  }
  await i18next.changeLanguage(language);
}
