import { useQuery } from '@tanstack/react-query';
import { useState, type SubmitEvent } from 'react';
import { useTranslation } from 'react-i18next';
import { call } from '@/shared/api';
import { useFormat } from '@/shared/format';
import { Button, Dialog, Failure, Loading, TextField } from '@/shared/ui';
import css from './log.module.css';
import { checkGrowth } from './proof/check';
import { keepHead, memory } from './proof/kept';
import { parseKey } from './proof/note';
import { NoCrypto, Steps, Verdict } from './Steps';

interface Asked {
  from: number;
  to: number | undefined;
}

/** The newest signed head that says this size, or the newest at all. */
async function signedHead(to: number | undefined): Promise<{ size: number; note: string } | undefined> {
  const { items } = await call('log.show', { type: 'log.checkpointed', limit: 1_000 });
  const heads = items.map((one) => one.payload as { size: number; checkpoint: string });
  const found = heads.findLast((one) => to === undefined || one.size === to);
  return found && { size: found.size, note: found.checkpoint };
}

async function prove({ from, to }: Asked) {
  const { key, head } = memory();
  const stats = await call('log.stats', {});
  const signed = stats.types['log.checkpointed'] ? await signedHead(to) : undefined;
  const size = to ?? (signed && signed.size >= from ? signed.size : stats.events);
  const proof = await call('log.prove', { from, to: size });
  const note = signed?.size === size ? signed.note : undefined;
  const checked = await checkGrowth(proof, head, note, key ? await parseKey(key) : undefined);
  if (checked.verdict === 'proven' && checked.head) keepHead(checked.head);
  return { checked, size, from };
}

/** That the log only grew since this browser saw it last, or between any two sizes. */
export function Growth({ open, onClose }: { open: boolean; onClose: () => void }) {
  const { t } = useTranslation('log');
  return (
    <Dialog title={t('growth.title')} open={open} onClose={onClose}>
      {crypto.subtle ? <Proven /> : <NoCrypto />}
    </Dialog>
  );
}

function Proven() {
  const { t } = useTranslation('log');
  const { number } = useFormat();
  const [seen] = useState(() => memory().head);
  const [asked, setAsked] = useState<Asked>({ from: seen?.size ?? 1, to: undefined });
  const { data, error, refetch } = useQuery({ queryKey: ['log.growth', asked], queryFn: () => prove(asked), gcTime: 0, retry: false });
  const submit = (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    setAsked({ from: Number(form.get('from')), to: Number(form.get('to')) || undefined });
  };
  return (
    <div className={css.growth}>
      <p className={css.soft}>{seen ? t('growth.seen', { size: number(seen.size) }) : t('growth.unseen')}</p>
      <form className={css.keyForm} onSubmit={submit}>
        <TextField name="from" inputMode="numeric" pattern="[0-9]+" label={t('growth.from')} defaultValue={asked.from} required />
        <TextField name="to" inputMode="numeric" pattern="[0-9]*" label={t('growth.to')} placeholder={t('growth.newest')} />
        <Button type="submit">{t('growth.prove')}</Button>
      </form>
      {error ? (
        <Failure error={error} retry={() => void refetch()} />
      ) : data ? (
        <>
          <Verdict verdict={data.checked.verdict} />
          <Steps steps={data.checked.steps} size={data.size} from={data.from} />
        </>
      ) : (
        <Loading rows={4} />
      )}
    </div>
  );
}
