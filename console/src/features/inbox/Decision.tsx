import { useEffect, useRef, type KeyboardEvent } from 'react';
import { useTranslation } from 'react-i18next';
import { Link } from 'react-router';
import { namespace, Problem, useAct } from '@/shared/api';
import { useDraft } from '@/shared/draft/useDraft';
import { useKeys } from '@/shared/keys/useKeys';
import { Button, TextArea, TextField } from '@/shared/ui';
import css from './Decision.module.css';
import { subjectOf, type Question } from './question';

type Way = 'approve' | 'reject' | 'ask' | 'delegate';
const KEYS: Record<Way, string> = { approve: 'a', reject: 'r', ask: 'q', delegate: 'd' };
const isWay = (text: string): text is Way => text in KEYS;

interface DecisionProps {
  one: Question;
  mine: boolean;
  answerable: boolean;
  onAnswered: (one: Question, words: string) => void;
}

/** The answer: chosen by a key, reasoned, and sent until the server has it. What is typed is never lost. */
export function Decision({ one, mine, answerable, onAnswered }: DecisionProps) {
  const { t } = useTranslation('inbox');
  const name = `inbox.${namespace()}.${one.id}`;
  const [draft, setWay, clearWay] = useDraft(`${name}.way`);
  const [, , clearText] = useDraft(`${name}.text`);
  const way = isWay(draft) ? draft : undefined;
  const may = (which: Way) => which === 'ask' || (mine && answerable);
  const choose = (which: Way) => () => may(which) && setWay(which);
  useKeys({ a: choose('approve'), r: choose('reject'), q: choose('ask'), d: choose('delegate') });
  return (
    <footer className={css.decision}>
      {way ? (
        <Answer key={way} one={one} way={way} name={name} onCancel={clearWay} onDone={(words, closes) => {
          clearText();
          clearWay();
          if (closes) onAnswered(one, words);
        }} />
      ) : (
        <>
          {!answerable && (
            <p className={css.why}>
              {t('elsewhere')} <Link to={`/runs/${encodeURIComponent(one.run)}`}>{t('toRun')}</Link>
            </p>
          )}
          {answerable && !mine && <p className={css.why}>{t('notYours', { roles: one.roles.join(', ') })}</p>}
          <div className={css.ways}>
            <Button look="primary" shortcut="a" disabled={!may('approve')} onClick={choose('approve')}>{t('way.approve')}</Button>
            <Button look="danger" shortcut="r" disabled={!may('reject')} onClick={choose('reject')}>{t('way.reject')}</Button>
            <Button shortcut="q" onClick={choose('ask')}>{t('way.ask')}</Button>
            <Button shortcut="d" disabled={!may('delegate')} onClick={choose('delegate')}>{t('way.delegate')}</Button>
          </div>
        </>
      )}
    </footer>
  );
}

interface AnswerProps {
  one: Question;
  way: Way;
  name: string;
  onCancel: () => void;
  onDone: (words: string, closes: boolean) => void;
}

function Answer({ one, way, name, onCancel, onDone }: AnswerProps) {
  const { t } = useTranslation('inbox');
  const [text, setText] = useDraft(`${name}.text`);
  const [to, setTo, clearTo] = useDraft(`${name}.to`);
  const form = useRef<HTMLFormElement>(null);
  const sending = useSending(way);
  useEffect(() => {
    form.current?.querySelector<HTMLElement>('input, textarea')?.focus();
  }, []);
  const ready = text.trim() !== '' && (way !== 'delegate' || to.trim() !== '');
  const send = () => {
    if (!ready || sending.busy) return;
    sending.send(one.id, text.trim(), to.trim(), () => {
      clearTo();
      onDone(t(`done.${way}`, { subject: subjectOf(one) }), way === 'approve' || way === 'reject');
    });
  };
  const press = (event: KeyboardEvent) => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) send();
    else if (event.key === 'Escape' && !sending.busy) onCancel();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    // Ctrl+Enter sends from any of its fields, Escape leaves: the buttons do the same.
    // eslint-disable-next-line jsx-a11y/no-noninteractive-element-interactions
    <form ref={form} className={css.answer} onKeyDown={press} onSubmit={(event) => { event.preventDefault(); send(); }}>
      {way === 'delegate' && <TextField label={t('to')} placeholder="person:grace" value={to} onChange={(event) => setTo(event.target.value)} autoComplete="off" />}
      <TextArea label={t(`why.${way}`)} hint={t('kept')} value={text} onChange={(event) => setText(event.target.value)} />
      <div role="status" className={css.status}>
        {sending.waiting && t('waitingForServer')}
      </div>
      {sending.error && !sending.busy && (
        <div role="alert" className={css.error}>
          {sending.error.message}
          {sending.error instanceof Problem && sending.error.hint && <span> {sending.error.hint}</span>}
        </div>
      )}
      <div className={css.ways}>
        <Button type="submit" look={way === 'reject' ? 'danger' : 'primary'} disabled={!ready} busy={sending.busy} shortcut="Ctrl ↵">
          {t(`send.${way}`)}
        </Button>
        <Button look="quiet" onClick={onCancel} disabled={sending.busy} shortcut="Esc">
          {t('cancel')}
        </Button>
      </div>
    </form>
  );
}

/** The four actions as one. */
function useSending(way: Way) {
  const approve = useAct('approvals.approve');
  const reject = useAct('approvals.reject');
  const ask = useAct('approvals.ask');
  const delegate = useAct('approvals.delegate');
  const used = { approve, reject, ask, delegate }[way];
  const send = (item: string, text: string, to: string, onSuccess: () => void) => {
    if (way === 'approve') approve.mutate({ item, reason: text }, { onSuccess });
    else if (way === 'reject') reject.mutate({ item, reason: text }, { onSuccess });
    else if (way === 'ask') ask.mutate({ item, text }, { onSuccess });
    else delegate.mutate({ item, to: to.includes(':') ? to : `person:${to}`, reason: text }, { onSuccess });
  };
  return { send, busy: used.isPending, waiting: used.isPending && used.failureCount > 0, error: used.error };
}
