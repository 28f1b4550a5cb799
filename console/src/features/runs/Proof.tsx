import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useReading } from '@/shared/api';
import { useFormat } from '@/shared/format';
import { Facts, Failure, Loading, Time } from '@/shared/ui';
import css from './runs.module.css';

/** One event of a step; opened, the proof that it is in the log. */
export function Proof({ seq, type, at }: { seq: number; type: string; at: number }) {
  const { t } = useTranslation('runs');
  const { number } = useFormat();
  const [open, setOpen] = useState(false);
  return (
    <details onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary className={css.event}>
        <span className={css.number}>{number(seq)}</span>
        <code className={css.code}>{type}</code>
        <Time at={at} absolute />
        <span className={css.link}>{t('proof.show')}</span>
      </summary>
      {open && <Proven seq={seq} />}
    </details>
  );
}

function Proven({ seq }: { seq: number }) {
  const { t } = useTranslation('runs');
  const { number } = useFormat();
  const { data, error, refetch } = useReading('log.prove', { seq }, { staleMs: Infinity });
  if (error) return <Failure error={error} retry={() => void refetch()} />;
  if (!data) return <Loading rows={3} />;
  return (
    <div className={css.proof}>
      <p>{t('proof.told', { seq: number(seq), size: number(data.size) })}</p>
      <Facts
        items={[
          [t('proof.leaf'), <code key="l" className={css.code}>{data.leaf}</code>],
          [t('proof.path'), <span key="p" className={css.path}>{data.proof.map((one) => <code key={one} className={css.code}>{one}</code>)}</span>],
          [t('proof.root'), <code key="r" className={css.code}>{data.root}</code>],
        ]}
      />
    </div>
  );
}
