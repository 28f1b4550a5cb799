import type { ButtonHTMLAttributes } from 'react';
import css from './Button.module.css';

interface ButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
  look?: 'plain' | 'primary' | 'danger' | 'quiet';
  busy?: boolean;
  /** The key that does the same; shown beside the words. */
  shortcut?: string;
}

export function Button({ look = 'plain', busy = false, shortcut, className, children, ...rest }: ButtonProps) {
  return (
    <button
      type="button"
      {...rest}
      aria-busy={busy || undefined}
      className={`${css.button} ${css[look]} ${className ?? ''}`}
    >
      {children}
      {shortcut && (
        <kbd className={css.key} aria-hidden="true">
          {shortcut}
        </kbd>
      )}
    </button>
  );
}
