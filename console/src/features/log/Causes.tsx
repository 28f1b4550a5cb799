import { useTranslation } from 'react-i18next';
import { Failure, Loading, Section } from '@/shared/ui';
import { EventList } from './EventList';
import css from './log.module.css';
import { chain } from './links';
import type { ShownProps } from './Record';
import { useWeb } from './useWeb';

/** Back to where it began, and one step on. */
export function Causes({ event, onShow }: ShownProps) {
  const { t } = useTranslation('log');
  const { data, error, refetch } = useWeb(event);
  if (error) return <Failure error={error} retry={() => void refetch()} />;
  if (!data) return <Loading rows={8} />;
  const { web } = data;
  const before = chain(web, event.seq);
  const after = web.results.get(event.seq) ?? [];
  return (
    <>
      <Section title={t('because')}>
        {before.length === 0 ? <p className={css.soft}>{t('begins')}</p> : <EventList label={t('because')} web={web} seqs={before} onShow={onShow} />}
      </Section>
      <Section title={t('came')}>
        {after.length === 0 ? (
          <p className={css.soft}>{data.whole ? t('nothingCame') : t('nothingYet')}</p>
        ) : (
          <EventList label={t('came')} web={web} seqs={after} onShow={onShow} />
        )}
      </Section>
    </>
  );
}
