import { useTranslation } from 'react-i18next';
import { Link } from 'react-router';
import { useReading, type Output } from '@/shared/api';
import { Json } from '@/shared/ui';
import { addressOf } from './address';
import css from './runs.module.css';

/** What went into a run, what came out, and for what it waits. */
export function Ends({ shown }: { shown: Output<'runs.show'> }) {
  const { t } = useTranslation('runs');
  return (
    <div className={css.ends}>
      <Folded title={t('detail.input')} value={shown.input} />
      {shown.output != null && <Folded title={t('detail.output')} value={shown.output} />}
      {shown.error != null && <Folded title={t('detail.error')} value={shown.error} />}
      {shown.status !== 'completed' && <Asks run={shown.id} />}
    </div>
  );
}

function Folded({ title, value }: { title: string; value: unknown }) {
  return (
    <details className={css.folded}>
      <summary>{title}</summary>
      <div className={css.foldedBody}>
        <Json value={value} label={title} />
      </div>
    </details>
  );
}

/** Questions that the run and its children have for people. */
function Asks({ run }: { run: string }) {
  const { t } = useTranslation('runs');
  const { data } = useReading('runs.inbox', { run }, { live: ['approval.', 'incident.', 'intervention.', 'question.'] });
  if (!data || data.items.length === 0) return null;
  return (
    <details className={css.folded}>
      <summary>{t('asks', { count: data.items.length })}</summary>
      <ul className={css.foldedBody}>
        {data.items.map((item) => (
          <li key={item.id} className={css.ask}>
            <strong>{item.action}</strong> {item.because}{' '}
            {item.run !== run && <Link to={addressOf(item.run)}>{item.run.split('/').at(-1)}</Link>}
          </li>
        ))}
      </ul>
    </details>
  );
}
