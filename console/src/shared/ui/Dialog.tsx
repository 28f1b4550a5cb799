import { useEffect, useId, useRef, type ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { Button } from './Button';
import css from './Dialog.module.css';

interface DialogProps {
  title: string;
  open: boolean;
  onClose: () => void;
  children: ReactNode;
  /** Buttons at the end. */
  footer?: ReactNode;
}

function Modal({ title, open, onClose, children, footer, side }: DialogProps & { side: boolean }) {
  const { t } = useTranslation('ui');
  const ref = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const dialog = ref.current;
    if (!dialog) return;
    if (open && !dialog.open) dialog.showModal();
    if (!open && dialog.open) dialog.close();
  }, [open]);
  return (
    // Escape reaches a dialog as `cancel`; pressing beside it is a second way out for the mouse alone.
    // eslint-disable-next-line jsx-a11y/no-noninteractive-element-interactions, jsx-a11y/click-events-have-key-events
    <dialog
      ref={ref}
      className={side ? css.drawer : css.dialog}
      aria-labelledby={id}
      onClose={onClose}
      onClick={(event) => event.target === ref.current && onClose()}
    >
      {open && (
        <div className={css.frame}>
          <header className={css.head}>
            <h2 id={id}>{title}</h2>
            <Button look="quiet" onClick={onClose} aria-label={t('close')}>
              <span aria-hidden="true">✕</span>
            </Button>
          </header>
          <div className={css.body}>{children}</div>
          {footer && <footer className={css.foot}>{footer}</footer>}
        </div>
      )}
    </dialog>
  );
}

export function Dialog(props: DialogProps) {
  return <Modal {...props} side={false} />;
}

/** A dialog at the side: details over a list that stays where it is. */
export function Drawer(props: DialogProps) {
  return <Modal {...props} side />;
}
