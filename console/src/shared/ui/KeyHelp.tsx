import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useKeys } from '@/shared/keys/useKeys';
import { Dialog } from './Dialog';
import css from './KeyHelp.module.css';

/** The keys of a view, shown by `?`. */
export function KeyHelp({ keys }: { keys: readonly (readonly [string, string])[] }) {
  const { t } = useTranslation('ui');
  const [open, setOpen] = useState(false);
  useKeys({ '?': () => setOpen(true) });
  return (
    <Dialog title={t('keys.title')} open={open} onClose={() => setOpen(false)}>
      <dl className={css.keys}>
        {[...keys, ['?', t('keys.help')] as const].map(([key, text]) => (
          <div key={key} className={css.line}>
            <dt>
              {key.split(' ').map((one) => (
                <kbd key={one} className={css.key}>
                  {one}
                </kbd>
              ))}
            </dt>
            <dd>{text}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}
