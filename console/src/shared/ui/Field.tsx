import { useId, type InputHTMLAttributes, type ReactNode, type SelectHTMLAttributes, type TextareaHTMLAttributes } from 'react';
import css from './Field.module.css';

interface Labelled {
  label: string;
  hint?: ReactNode;
  /** The label is for screen readers only: what stands around says the same. */
  quiet?: boolean;
}

function Frame({ id, label, hint, quiet, children }: Labelled & { id: string; children: ReactNode }) {
  return (
    <div className={css.field}>
      <label htmlFor={id} className={quiet ? 'visually-hidden' : css.label}>
        {label}
      </label>
      {children}
      {hint && (
        <p id={`${id}-hint`} className={css.hint}>
          {hint}
        </p>
      )}
    </div>
  );
}

export function TextField({ label, hint, quiet = false, ...rest }: Labelled & InputHTMLAttributes<HTMLInputElement>) {
  const id = useId();
  return (
    <Frame id={id} label={label} hint={hint} quiet={quiet}>
      <input {...rest} id={id} aria-describedby={hint ? `${id}-hint` : undefined} className={css.control} />
    </Frame>
  );
}

export function TextArea({ label, hint, quiet = false, ...rest }: Labelled & TextareaHTMLAttributes<HTMLTextAreaElement>) {
  const id = useId();
  return (
    <Frame id={id} label={label} hint={hint} quiet={quiet}>
      <textarea rows={3} {...rest} id={id} aria-describedby={hint ? `${id}-hint` : undefined} className={`${css.control} ${css.area}`} />
    </Frame>
  );
}

export function Select({ label, hint, quiet = false, children, ...rest }: Labelled & SelectHTMLAttributes<HTMLSelectElement>) {
  const id = useId();
  return (
    <Frame id={id} label={label} hint={hint} quiet={quiet}>
      <select {...rest} id={id} className={css.control}>
        {children}
      </select>
    </Frame>
  );
}
