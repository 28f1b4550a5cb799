import { useId } from 'react';
import { useTranslation } from 'react-i18next';
import { isSecret, type ActionField as Field, type Attached, type Fault, type Typed } from './action_input';
import css from './ActionForm.module.css';
import { Select, TextArea, TextField } from './Field';

interface ActionFieldProps {
  field: Field;
  value: Typed[string] | undefined;
  fault?: Fault | undefined;
  onChange: (value: Typed[string]) => void;
}

const CHUNK = 0x8000;

async function attach(file: File): Promise<Attached> {
  const bytes = new Uint8Array(await file.arrayBuffer());
  let text = '';
  for (let at = 0; at < bytes.length; at += CHUNK) text += String.fromCharCode(...bytes.subarray(at, at + CHUNK));
  return { name: file.name, base64: btoa(text) };
}

function exampleOf(field: Field): string | undefined {
  const first = field.examples?.[0];
  if (first === undefined) return undefined;
  if (Array.isArray(first)) return first.join(', ');
  return typeof first === 'string' ? first : JSON.stringify(first);
}

/** One field of an action, as its kind wants it. */
export function ActionField({ field, value, fault, onChange }: ActionFieldProps) {
  const { t } = useTranslation('ui');
  const id = useId();
  const label = t(`form.field.${field.name}`, { defaultValue: field.name.replaceAll('_', ' ') });
  const hint = (
    <>
      <span lang="en" dir="auto">
        {field.description}
      </span>
      {fault && <strong className={css.fault}>{t(`form.fault.${fault}`)}</strong>}
    </>
  );
  const shared = { label: field.required ? `${label} *` : label, hint, 'aria-invalid': fault ? true : undefined };
  const text = typeof value === 'string' ? value : '';
  if (field.kind === 'flag') {
    return (
      <div className={css.flag}>
        <input id={id} type="checkbox" aria-describedby={`${id}-hint`} checked={value === true} onChange={(event) => onChange(event.target.checked)} />
        <div>
          <label htmlFor={id} className={css.flagName}>
            {label}
          </label>
          <p id={`${id}-hint`} className={css.flagHint}>
            {hint}
          </p>
        </div>
      </div>
    );
  }
  if (field.kind === 'choice') {
    return (
      <Select {...shared} value={text} onChange={(event) => onChange(event.target.value)}>
        {!field.required && field.default === undefined && <option value="">{t('form.none')}</option>}
        {field.choices?.map((one) => (
          <option key={one} value={one}>
            {one}
          </option>
        ))}
      </Select>
    );
  }
  if (isSecret(field)) {
    return <TextField {...shared} type="password" autoComplete="new-password" value={text} onChange={(event) => onChange(event.target.value)} />;
  }
  if (field.file === 'in') {
    const many = field.kind === 'list';
    return (
      <TextField
        {...shared}
        type="file"
        multiple={many}
        onChange={(event) => void Promise.all([...(event.target.files ?? [])].map(attach)).then(onChange)}
      />
    );
  }
  const example = exampleOf(field);
  const long = field.kind === 'list' || field.kind === 'json' || field.file === 'json';
  const typing = { ...shared, value: text, placeholder: example, spellCheck: false };
  return long ? (
    <TextArea {...typing} onChange={(event) => onChange(event.target.value)} />
  ) : (
    <TextField {...typing} inputMode={field.kind === 'integer' ? 'numeric' : undefined} onChange={(event) => onChange(event.target.value)} />
  );
}
