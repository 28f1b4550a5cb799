import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Badge, Button } from '@/shared/ui';
import { about } from './filter';
import css from './log.module.css';
import { runOf, type Web } from './links';
import { tone } from './tone';

interface EventListProps {
  label: string;
  web: Web;
  seqs: readonly number[];
  onShow: (seq: number) => void;
}

const SHOWN = 12;

/** Events one below the other, each a way to it. */
export function EventList({ label, web, seqs, onShow }: EventListProps) {
  const { t } = useTranslation('log');
  const [shown, setShown] = useState(SHOWN);
  return (
    <>
      <ol className={css.chain} aria-label={label}>
        {seqs.slice(0, shown).map((seq) => {
          const one = web.events.get(seq);
          return (
            <li key={seq}>
              <button type="button" className={css.link} onClick={() => onShow(seq)}>
                <span className={css.seq}>#{seq}</span>
                {one && <Badge tone={tone(one.type)}>{one.type}</Badge>}
                <span className={css.about}>{one ? about(one) : ''}</span>
                <code className={css.stream}>{one && (runOf(one)?.split('/').slice(1).join('/') || one.stream.split('/')[0])}</code>
              </button>
            </li>
          );
        })}
      </ol>
      {seqs.length > shown && (
        <Button look="quiet" onClick={() => setShown(shown + 50)}>
          {t('moreOf', { count: seqs.length - shown })}
        </Button>
      )}
    </>
  );
}
