import { useTranslation } from 'react-i18next';
import { useReading } from '@/shared/api';
import { useKeys } from '@/shared/keys/useKeys';
import { Button, Drawer, Failure, Loading, Tabs } from '@/shared/ui';
import { Causes } from './Causes';
import { ImpactOf } from './ImpactOf';
import css from './log.module.css';
import { ProofOf } from './ProofOf';
import { Record } from './Record';

interface EventDrawerProps {
  seq: number | undefined;
  part: string;
  size: number;
  onPart: (part: string) => void;
  onShow: (seq: number) => void;
  onClose: () => void;
}

/** One event: what it says, where it comes from, what came of it, and that it is in the log. */
export function EventDrawer({ seq, part, size, onPart, onShow, onClose }: EventDrawerProps) {
  const { t } = useTranslation('log');
  const open = seq !== undefined && Number.isInteger(seq) && seq > 0;
  const { data, error, refetch } = useReading('log.show', { seq: seq ?? 1 }, { enabled: open, staleMs: 60_000 });
  const event = data?.items[0];
  const step = (by: number) => seq !== undefined && seq + by >= 1 && seq + by <= size && onShow(seq + by);
  useKeys({ j: () => step(-1), k: () => step(1) }, open);
  return (
    <Drawer
      open={open}
      onClose={onClose}
      title={t('event', { seq })}
      footer={
        <>
          <Button shortcut="k" disabled={!open || seq >= size} onClick={() => step(1)}>
            {t('newer')}
          </Button>
          <Button shortcut="j" disabled={!open || seq <= 1} onClick={() => step(-1)}>
            {t('older')}
          </Button>
        </>
      }
    >
      {error ? (
        <Failure error={error} retry={() => void refetch()} />
      ) : event?.seq !== seq ? (
        <Loading rows={10} />
      ) : (
        event && (
          <div className={css.drawer}>
            <Tabs
              label={t('parts')}
              chosen={part}
              onChoose={onPart}
              tabs={[
                { id: 'record', title: t('part.record'), content: () => <Record event={event} onShow={onShow} /> },
                { id: 'causes', title: t('part.causes'), content: () => <Causes event={event} onShow={onShow} /> },
                { id: 'impact', title: t('part.impact'), content: () => <ImpactOf event={event} onShow={onShow} /> },
                { id: 'proof', title: t('part.proof'), content: () => <ProofOf key={event.seq} event={event} /> },
              ]}
            />
          </div>
        )
      )}
    </Drawer>
  );
}
