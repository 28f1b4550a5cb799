import type { ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { Offline, Problem } from '@/shared/api';
import { Button } from './Button';
import css from './State.module.css';

/** What a view says when there is nothing to show: that it is fine, and what comes next. */
export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className={css.state}>
      <p className={css.title}>{title}</p>
      {children && <div className={css.text}>{children}</div>}
    </div>
  );
}

/** Keeps the place of rows that are on their way, so that nothing jumps when they are there. */
export function Loading({ rows = 6 }: { rows?: number }) {
  const { t } = useTranslation('ui');
  return (
    <div className={css.loading} role="status">
      <span className="visually-hidden">{t('loading')}</span>
      {Array.from({ length: rows }, (_, row) => (
        <span key={row} className={css.bone} aria-hidden="true" />
      ))}
    </div>
  );
}

/** What went wrong, in words, with the way on. */
export function Failure({ error, retry }: { error: unknown; retry?: () => void }) {
  const { t } = useTranslation('ui');
  const problem = error instanceof Problem ? error : undefined;
  const offline = error instanceof Offline;
  const title = offline
    ? t('failure.offline')
    : problem?.status === 403
      ? t('failure.forbidden')
      : problem?.status === 404
        ? t('failure.missing')
        : t('failure.title');
  return (
    <div className={`${css.state} ${css.failure}`} role="alert">
      <p className={css.title}>{title}</p>
      <div className={css.text}>
        <p>{offline ? t('failure.offlineText') : (problem?.message ?? String(error))}</p>
        {problem?.hint && <p>{problem.hint}</p>}
        {problem && <code className={css.code}>{problem.code}</code>}
      </div>
      {retry && <Button onClick={retry}>{t('failure.retry')}</Button>}
    </div>
  );
}
