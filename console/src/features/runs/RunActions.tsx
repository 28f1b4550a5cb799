import { useId, useState, type FormEvent } from 'react';
import { useTranslation } from 'react-i18next';
import { useAct, useMay } from '@/shared/api';
import { Button, Dialog, Failure, Select, TextArea, TextField } from '@/shared/ui';
import type { Step } from './journal';
import css from './runs.module.css';

export type Doing = 'cancel' | 'retry' | 'signal';

/** Buttons for what may be done to a run that has not ended. */
export function RunActions({ run, steps }: { run: string; steps: readonly Step[] }) {
  const { t } = useTranslation('runs');
  const { may } = useMay();
  const [doing, setDoing] = useState<Doing>();
  const close = () => setDoing(undefined);
  const last = (step: Step) => step.marks.at(-1)!.type;
  const stuck = steps.filter((step) => ['incident.opened', 'effect.ambiguous'].includes(last(step)));
  const waiting = steps.filter((step) => last(step) === 'signal.waiting');
  if (!may('operator')) return null;
  return (
    <>
      {stuck.length > 0 && <Button onClick={() => setDoing('retry')}>{t('act.retry')}</Button>}
      <Button onClick={() => setDoing('signal')}>{t('act.signal')}</Button>
      <Button look="danger" onClick={() => setDoing('cancel')}>
        {t('act.cancel')}
      </Button>
      {doing === 'cancel' && <Cancel run={run} onClose={close} />}
      {doing === 'retry' && <Retry run={run} stuck={stuck} onClose={close} />}
      {doing === 'signal' && <Signal run={run} proposed={waiting[0]?.name ?? ''} onClose={close} />}
    </>
  );
}

interface AskedProps {
  title: string;
  text: string;
  /** The words of the button that does it. */
  yes: string;
  look: 'primary' | 'danger';
  busy: boolean;
  error: unknown;
  onYes: () => void;
  onClose: () => void;
  children: React.ReactNode;
}

/** Asks once more, and says what will happen. */
function Asked({ title, text, yes, look, busy, error, onYes, onClose, children }: AskedProps) {
  const { t } = useTranslation('runs');
  const id = useId();
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (!busy) onYes();
  };
  const footer = (
    <>
      <Button onClick={onClose}>{t('act.leave')}</Button>
      <Button type="submit" form={id} look={look} busy={busy}>
        {yes}
      </Button>
    </>
  );
  return (
    <Dialog title={title} open onClose={onClose} footer={footer}>
      <form id={id} className={css.form} onSubmit={submit}>
        <p>{text}</p>
        {children}
        {error ? <Failure error={error} /> : null}
      </form>
    </Dialog>
  );
}

function Cancel({ run, onClose }: { run: string; onClose: () => void }) {
  const { t } = useTranslation('runs');
  const [reason, setReason] = useState('');
  const act = useAct('runs.cancel');
  const yes = () => act.mutate({ run, reason }, { onSuccess: onClose });
  return (
    <Asked title={t('act.cancelTitle')} text={t('act.cancelText')} yes={t('act.cancelYes')} look="danger" busy={act.isPending} error={act.error} onYes={yes} onClose={onClose}>
      <TextArea label={t('act.reason')} hint={t('act.reasonHint')} required value={reason} onChange={(event) => setReason(event.target.value)} />
    </Asked>
  );
}

function Retry({ run, stuck, onClose }: { run: string; stuck: readonly Step[]; onClose: () => void }) {
  const { t } = useTranslation('runs');
  const [step, setStep] = useState(stuck[0]?.position ?? '');
  const [reason, setReason] = useState('');
  const act = useAct('runs.retry');
  const yes = () => act.mutate({ run, step, reason }, { onSuccess: onClose });
  return (
    <Asked title={t('act.retryTitle')} text={t('act.retryText')} yes={t('act.retryYes')} look="primary" busy={act.isPending} error={act.error} onYes={yes} onClose={onClose}>
      <Select label={t('column.step')} value={step} onChange={(event) => setStep(event.target.value)}>
        {stuck.map((one) => (
          <option key={one.position} value={one.position}>
            {`${one.position} ${one.name}`}
          </option>
        ))}
      </Select>
      <TextArea label={t('act.reason')} hint={t('act.reasonHint')} required value={reason} onChange={(event) => setReason(event.target.value)} />
    </Asked>
  );
}

function Signal({ run, proposed, onClose }: { run: string; proposed: string; onClose: () => void }) {
  const { t } = useTranslation('runs');
  const [name, setName] = useState(proposed);
  const [payload, setPayload] = useState('null');
  const act = useAct('runs.signal');
  const yes = () => act.mutate({ run, name, payload }, { onSuccess: onClose });
  return (
    <Asked title={t('act.signalTitle')} text={t('act.signalText')} yes={t('act.signalYes')} look="primary" busy={act.isPending} error={act.error} onYes={yes} onClose={onClose}>
      <TextField label={t('act.name')} required value={name} onChange={(event) => setName(event.target.value)} />
      <TextArea label={t('act.payload')} hint={t('act.payloadHint')} required value={payload} onChange={(event) => setPayload(event.target.value)} />
    </Asked>
  );
}
