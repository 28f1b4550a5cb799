import { useTranslation } from 'react-i18next';
import { Section, Time } from '@/shared/ui';
import css from './Conversation.module.css';
import type { Question } from './question';

/** What people said about it before it was answered. */
export function Conversation({ one }: { one: Question }) {
  const { t } = useTranslation('inbox');
  const said = one.said ?? [];
  if (said.length === 0) return null;
  return (
    <Section title={t('conversation')}>
      <ol className={css.list}>
        {said.map((line, index) => (
          <li key={`${line.at}-${index}`} className={css.line}>
            <p className={css.by}>
              <strong>{line.by}</strong> <Time at={line.at} />
              {line.to && <span>{t('handedTo', { who: line.to })}</span>}
            </p>
            <p className={css.text}>{line.text}</p>
          </li>
        ))}
      </ol>
    </Section>
  );
}
