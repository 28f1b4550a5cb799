import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { namespace, useAct } from '@/shared/api';
import { useDraft } from '@/shared/draft/useDraft';
import { useFormat, type Money as MoneyValue } from '@/shared/format';
import { Button, Dialog, Money, TextArea } from '@/shared/ui';
import css from './Batch.module.css';
import { classOf, moneyOf, subjectOf, type Question } from './question';

interface BatchProps {
  items: readonly Question[];
  onDone: (words: string) => void;
  onClear: () => void;
}

/** Several at once, where nothing that matters differs between them. */
export function BatchBar({ items, onDone, onClear }: BatchProps) {
  const { t } = useTranslation('inbox');
  const [open, setOpen] = useState(false);
  const equal = new Set(items.map(classOf)).size === 1;
  const total = equal ? sum(items) : undefined;
  return (
    <div className={css.bar}>
      <p>
        {t('batch.picked', { count: items.length })} {total && <Money value={total} />}
      </p>
      {!equal && <p className={css.why}>{t('batch.unequal')}</p>}
      <div className={css.buttons}>
        <Button look="primary" disabled={!equal} onClick={() => setOpen(true)}>
          {t('batch.approve')}
        </Button>
        <Button look="quiet" onClick={onClear}>
          {t('batch.clear')}
        </Button>
      </div>
      <Dialog title={t('batch.title', { count: items.length })} open={open} onClose={() => setOpen(false)}>
        <Together items={items} onDone={(words) => { setOpen(false); onDone(words); }} />
      </Dialog>
    </div>
  );
}

function sum(items: readonly Question[]): MoneyValue | undefined {
  const all = items.map(moneyOf).filter((one) => one !== undefined);
  const first = all[0];
  return first && { micros: all.reduce((total, one) => total + one.micros, 0), currency: first.currency };
}

type Fate = 'sent' | 'done' | { error: string };

function Together({ items, onDone }: { items: readonly Question[]; onDone: (words: string) => void }) {
  const { t } = useTranslation('inbox');
  const { number } = useFormat();
  const [rows] = useState(items); // what was looked at is what is approved, whatever comes in meanwhile
  const [text, setText, clear] = useDraft(`inbox.${namespace()}.batch`);
  const [fates, setFates] = useState<Readonly<Record<string, Fate>>>({});
  const approve = useAct('approvals.approve');
  const busy = Object.values(fates).includes('sent');
  const send = async () => {
    let failed = 0;
    for (const one of rows) {
      if (fates[one.id] === 'done') continue;
      setFates((before) => ({ ...before, [one.id]: 'sent' }));
      try {
        await approve.mutateAsync({ item: one.id, reason: text.trim() });
        setFates((before) => ({ ...before, [one.id]: 'done' }));
      } catch (error) {
        failed += 1;
        setFates((before) => ({ ...before, [one.id]: { error: (error as Error).message } }));
      }
    }
    if (failed) return;
    clear();
    onDone(t('batch.done', { count: rows.length }));
  };
  const told = (fate: Fate | undefined) => (!fate ? '' : typeof fate === 'object' ? fate.error : t(`batch.fate.${fate}`));
  return (
    <form className={css.together} onSubmit={(event) => { event.preventDefault(); void send(); }}>
      <ol className={css.items}>
        {rows.map((one, index) => (
          <li key={one.id} className={css.item}>
            <span className={css.number}>{number(index + 1)}</span>
            <span>{subjectOf(one)}</span>
            <span className={css.money}>{moneyOf(one) && <Money value={moneyOf(one)!} />}</span>
            <span className={css.fate} role="status">
              {told(fates[one.id])}
            </span>
          </li>
        ))}
      </ol>
      <TextArea label={t('why.approve')} hint={t('batch.each')} value={text} onChange={(event) => setText(event.target.value)} />
      <Button type="submit" look="primary" disabled={!text.trim()} busy={busy}>
        {t('batch.title', { count: rows.length })}
      </Button>
    </form>
  );
}
