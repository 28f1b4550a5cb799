import { useQuery } from '@tanstack/react-query';
import { useState, type SubmitEvent } from 'react';
import { useTranslation } from 'react-i18next';
import { Button, Facts, Id, Section, TextField } from '@/shared/ui';
import css from './log.module.css';
import { parseKey } from './proof/note';

/** The key that heads are checked with. A browser keeps the first it is told; whom it belongs to, people compare. */
export function TrustedKey({ text, onKey }: { text: string; onKey: (text: string) => void }) {
  const { t } = useTranslation('log');
  const { data: key } = useQuery({ queryKey: ['log.key', text], queryFn: async () => (await parseKey(text)) ?? null, networkMode: 'always' });
  const [wrong, setWrong] = useState(false);
  const take = async (form: HTMLFormElement) => {
    const told = new FormData(form).get('key');
    const found = typeof told === 'string' ? await parseKey(told) : undefined;
    setWrong(!found);
    if (!found) return;
    onKey(found.text);
    form.reset();
  };
  const submit = (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    void take(event.currentTarget);
  };
  return (
    <Section title={t('key.title')}>
      {key ? (
        <Facts items={[[t('key.name'), key.name], [t('key.fingerprint'), <Id key="print" value={key.fingerprint} length={30} />]]} />
      ) : (
        <p className={css.soft}>{t('key.none')}</p>
      )}
      <form className={css.keyForm} onSubmit={submit}>
        <TextField
          name="key"
          label={key ? t('key.other') : t('key.enter')}
          hint={wrong ? t('key.wrong') : t('key.hint')}
          aria-invalid={wrong}
          spellCheck={false}
          autoComplete="off"
          required
        />
        <Button type="submit">{t('key.take')}</Button>
      </form>
    </Section>
  );
}
