import { useQuery } from '@tanstack/react-query';
import { useState, type FormEvent } from 'react';
import { useTranslation } from 'react-i18next';
import { api, useAct, type ActionName } from '@/shared/api';
import { inputOf, startOf, type ActionDescription, type Typed } from './action_input';
import { ActionField } from './ActionField';
import css from './ActionForm.module.css';
import { Button } from './Button';
import { Json } from './Json';
import { Failure, Loading } from './State';

interface ActionFormProps {
  action: ActionName;
  /** What is decided by where the form stands: sent, and not asked for. */
  fixed?: Readonly<Record<string, unknown>>;
  /** What fields hold before somebody types. */
  start?: Readonly<Record<string, string>>;
  onDone?: (output: unknown) => void;
}

interface Loose {
  GET(path: string, init?: object): Promise<{ data?: unknown }>;
}

interface Acting {
  mutate: (input: object, options: { onSuccess: (output: unknown) => void }) => void;
  isPending: boolean;
  error: Error | null;
}

/** How the server describes an action: its fields, their kinds and what they mean. */
export function useAction(name: ActionName) {
  return useQuery({
    queryKey: ['action', name],
    queryFn: async () => (await (api as unknown as Loose).GET(`/v1/actions/${name}`)).data as ActionDescription,
    staleTime: Infinity,
  });
}

/** The form of any action, made from the server's own description of it. */
export function ActionForm(props: ActionFormProps) {
  const { data, error, refetch } = useAction(props.action);
  if (error) return <Failure error={error} retry={() => void refetch()} />;
  if (!data) return <Loading rows={3} />;
  return <Form key={props.action} {...props} about={data} />;
}

function Form({ action, fixed = {}, start = {}, onDone, about }: ActionFormProps & { about: ActionDescription }) {
  const { t } = useTranslation('ui');
  const fields = (about.fields ?? []).filter((one) => !(one.name in fixed) && one.file !== 'out');
  const [typed, setTyped] = useState<Typed>(() =>
    Object.fromEntries(fields.map((one) => [one.name, start[one.name] ?? startOf(one)])),
  );
  const [tried, setTried] = useState(false);
  const [output, setOutput] = useState<unknown>();
  const act = useAct(action) as unknown as Acting;
  const { input, faults } = inputOf(fields, typed);
  const send = (event: FormEvent) => {
    event.preventDefault();
    setTried(true);
    if (act.isPending || Object.keys(faults).length > 0) return;
    const onSuccess = (answer: unknown) => {
      setOutput(answer);
      onDone?.(answer);
    };
    act.mutate({ ...fixed, ...input }, { onSuccess });
  };
  return (
    <form className={css.form} onSubmit={send} noValidate>
      <p lang="en" dir="auto" className={css.summary}>
        {about.summary}
      </p>
      {about.effect === 'irreversible' && <p className={css.warning}>{t('form.irreversible')}</p>}
      {fields.map((field) => (
        <ActionField
          key={field.name}
          field={field}
          value={typed[field.name]}
          fault={tried ? faults[field.name] : undefined}
          onChange={(value) => setTyped({ ...typed, [field.name]: value })}
        />
      ))}
      {act.error && <Failure error={act.error} />}
      {output !== undefined && (
        <div role="status" className={css.done}>
          <p className={css.doneTitle}>{t('form.done')}</p>
          <Json value={output} label={t('form.answer')} />
        </div>
      )}
      <div className={css.foot}>
        <code className={css.name}>{about.action}</code>
        <Button type="submit" look={about.effect === 'irreversible' ? 'danger' : 'primary'} busy={act.isPending}>
          {about.effect === 'read' || about.effect === 'pure' ? t('form.ask') : t('form.send')}
        </Button>
      </div>
    </form>
  );
}
