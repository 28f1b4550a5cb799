import { useState } from 'react';
import type { ActionName } from '@/shared/api';
import { ActionForm } from './ActionForm';
import { Button } from './Button';
import { Dialog } from './Dialog';

interface ActionButtonProps {
  action: ActionName;
  label: string;
  /** What the dialog says above the form, where the button's words alone would not tell what is meant. */
  title?: string;
  fixed?: Readonly<Record<string, unknown>>;
  start?: Readonly<Record<string, string>>;
  look?: 'plain' | 'primary' | 'danger' | 'quiet';
  /** The answer stays to be read: it holds something that is never shown again. */
  keep?: boolean;
}

/** A button that opens the form of an action; the dialog closes when it is done. */
export function ActionButton({ action, label, title = label, fixed, start, look = 'plain', keep = false }: ActionButtonProps) {
  const [open, setOpen] = useState(false);
  const close = () => setOpen(false);
  return (
    <>
      <Button look={look} aria-label={title === label ? undefined : title} onClick={() => setOpen(true)}>
        {label}
      </Button>
      <Dialog title={title} open={open} onClose={close}>
        <ActionForm action={action} {...(fixed && { fixed })} {...(start && { start })} {...(!keep && { onDone: close })} />
      </Dialog>
    </>
  );
}
