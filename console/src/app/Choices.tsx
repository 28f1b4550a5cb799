import { useTranslation } from 'react-i18next';
import { enterNamespace, namespace, signOut, useReading, useSession } from '@/shared/api';
import { CODES, LANGUAGES, setLanguage, type Language } from '@/shared/i18n';
import { setTheme, THEMES, useTheme, type Theme } from '@/shared/theme/theme';
import { Button, Select } from '@/shared/ui';
import css from './Choices.module.css';

/** Where one is, in which language and light, and the way out. */
export function Choices() {
  const { t } = useTranslation('app');
  const { actor } = useSession();
  return (
    <div className={css.choices}>
      <Namespaces />
      <Languages />
      <Themes />
      <div className={css.who}>
        <a href="/account" title={actor} className={css.actor}>
          {actor.split(':').at(-1)}
          <span className="visually-hidden"> — {t('account')}</span>
        </a>
        <Button look="quiet" onClick={() => void signOut()}>
          {t('signOut')}
        </Button>
      </div>
    </div>
  );
}

function Namespaces() {
  const { t } = useTranslation('app');
  const { data } = useReading('namespaces.list', {}, { staleMs: 60_000 });
  const here = namespace();
  const names = new Set([here, ...(data?.items ?? []).filter((one) => !one.deleted).map((one) => one.name)]);
  return (
    <Select label={t('namespace')} quiet value={here} onChange={(event) => enterNamespace(event.target.value)}>
      {[...names].map((name) => (
        <option key={name}>{name}</option>
      ))}
    </Select>
  );
}

function Languages() {
  const { t, i18n } = useTranslation('app');
  return (
    <Select label={t('language')} quiet value={i18n.language} onChange={(event) => void setLanguage(event.target.value as Language)}>
      {CODES.map((code) => (
        <option key={code} value={code} lang={code}>
          {LANGUAGES[code]}
        </option>
      ))}
    </Select>
  );
}

function Themes() {
  const { t } = useTranslation('app');
  const theme = useTheme();
  return (
    <Select label={t('theme.label')} quiet value={theme} onChange={(event) => setTheme(event.target.value as Theme)}>
      {THEMES.map((one) => (
        <option key={one} value={one}>
          {t(`theme.${one}`)}
        </option>
      ))}
    </Select>
  );
}
