import { useTranslation } from 'react-i18next';
import { isMoney, useFormat, type Money } from '@/shared/format';
import { Section } from '@/shared/ui';
import { useComparison } from './past';
import type { Question } from './question';
import css from './Unusual.module.css';
import type { Difference } from './usual';

/** What is other than in the cases that were approved before. */
export function Unusual({ one }: { one: Question }) {
  const { t } = useTranslation('inbox');
  const found = useComparison(one);
  const basis = !found
    ? '…'
    : found.of < 2
      ? t('unusual.first')
      : found.anchor
        ? t('unusual.same', { count: found.of, value: found.anchor.value })
        : t('unusual.action', { count: found.of, action: one.action });
  return (
    <Section title={t('unusual.title')}>
      <p className={css.basis}>{basis}</p>
      {found && found.of >= 2 && found.differences.length === 0 && <p>{t('unusual.none')}</p>}
      {found && found.differences.length > 0 && (
        <ul className={css.list}>
          {found.differences.map((difference) => (
            <li key={difference.path} className={css.item}>
              <Told difference={difference} />
            </li>
          ))}
        </ul>
      )}
    </Section>
  );
}

function Told({ difference }: { difference: Difference }) {
  const { t } = useTranslation('inbox');
  const { money, number } = useFormat();
  const shown = (value: number | Money) => (isMoney(value) ? money(value) : number(value));
  const name = nameOf(difference.path);
  if (difference.kind === 'first')
    return (
      <>
        <strong>{name}</strong> <ins className={css.now}>{difference.value}</ins>
        <span className={css.before}>{t('unusual.never')}</span>
      </>
    );
  if (difference.kind === 'new') {
    const { value, usual, seen, of } = difference;
    return (
      <>
        <strong>{name}</strong> <ins className={css.now}>{value || '—'}</ins>
        <span className={css.before}>{t('unusual.otherwise', { usual: usual || '—', seen: number(seen), of: number(of) })}</span>
      </>
    );
  }
  const { value, low, high } = difference;
  return (
    <>
      <strong>{name}</strong> <ins className={css.now}>{shown(value)}</ins>
      <span className={css.before}>
        {shown(low) === shown(high) ? t('unusual.always', { value: shown(low) }) : t('unusual.between', { low: shown(low), high: shown(high) })}
      </span>
    </>
  );
}

function nameOf(path: string): string {
  const found = path.replace(/^(input|evidence)\./, '').replace(/\.length$/, '').replace(/[._-]+/g, ' ');
  return found.charAt(0).toUpperCase() + found.slice(1);
}
