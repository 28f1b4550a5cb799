import { useTranslation } from 'react-i18next';
import { Link } from 'react-router';
import { Badge, Button, Facts, Id, Json, Section, Time } from '@/shared/ui';
import css from './log.module.css';
import { runOf } from './links';
import type { Event } from './proof/check';
import { tone } from './tone';

export interface ShownProps {
  event: Event;
  onShow: (seq: number) => void;
}

export function Record({ event, onShow }: ShownProps) {
  const { t } = useTranslation('log');
  const run = runOf(event);
  const facts: (readonly [string, React.ReactNode])[] = [
    [t('column.type'), <Badge key="type" tone={tone(event.type)}>{event.type}</Badge>],
    [t('column.at'), <Time key="at" at={event.at} absolute />],
    [t('column.actor'), event.actor],
    [t('column.stream'), <span key="stream">{event.stream}, {t('place', { place: event.stream_seq })}</span>],
    [
      t('cause'),
      event.cause === null ? t('nothing') : (
        <Button key="cause" look="quiet" className={css.inline} onClick={() => onShow(event.cause!)}>#{event.cause}</Button>
      ),
    ],
    [t('correlation'), event.correlation === null ? t('nothing') : <Id key="run" value={event.correlation} length={26} />],
    [t('digest'), <Id key="digest" value={event.payload_digest} length={24} />],
    [t('prev'), event.prev === null ? t('first') : <Id key="prev" value={event.prev} length={24} />],
  ];
  return (
    <>
      <Section title={t('part.record')} aside={run && <Link to={`/runs/${run}`}>{t('toRun')}</Link>}>
        <Facts items={facts} />
      </Section>
      <Section title={t('payload')}>
        {event.payload === null ? <p className={css.soft}>{t('erased')}</p> : (
          <div className={css.payload}>
            <Json value={event.payload} label={t('payload')} />
          </div>
        )}
      </Section>
    </>
  );
}
