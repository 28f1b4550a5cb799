import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import css from './Id.module.css';

const SHOWN = 10;
const COPIED_MS = 1_500;

/** An id, cut short; pressing it copies the whole. */
export function Id({ value, length = SHOWN }: { value: string; length?: number }) {
  const { t } = useTranslation('ui');
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(value);
    setCopied(true);
    setTimeout(() => setCopied(false), COPIED_MS);
  };
  return (
    <button type="button" className={css.id} title={value} onClick={() => void copy()}>
      <span aria-hidden="true">{value.length > length + 1 ? `${value.slice(0, length)}…` : value}</span>
      <span className="visually-hidden">{t('id.copy', { value })}</span>
      <span role="status" className={css.copied}>
        {copied ? t('id.copied') : ''}
      </span>
    </button>
  );
}
