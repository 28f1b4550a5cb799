import { useTranslation } from 'react-i18next';
import { Badge, type Tone } from '@/shared/ui';

const RUN: Readonly<Record<string, Tone>> = {
  running: 'info',
  waiting: 'warn',
  incident: 'bad',
  completed: 'good',
  failed: 'bad',
  cancelled: 'neutral',
  continued: 'neutral',
};

export const RUN_STATUSES = ['running', 'waiting', 'incident', 'completed', 'failed', 'cancelled', 'continued'] as const;
export type RunStatusName = (typeof RUN_STATUSES)[number];

export function isRunStatus(text: string | null): text is RunStatusName {
  return RUN_STATUSES.some((one) => one === text);
}

export const STEP_TONE: Readonly<Record<string, Tone>> = {
  done: 'good',
  confirmed: 'good',
  approved: 'info',
  received: 'good',
  woke: 'good',
  planned: 'info',
  sent: 'info',
  asked: 'warn',
  waits: 'warn',
  byHand: 'info',
  failed: 'bad',
  refused: 'bad',
  incident: 'bad',
  ambiguous: 'bad',
  compensated: 'neutral',
  withdrawn: 'neutral',
};

export function RunStatus({ status }: { status: string }) {
  const { t } = useTranslation('runs');
  return <Badge tone={RUN[status] ?? 'neutral'}>{t(`status.${status}`, { defaultValue: status })}</Badge>;
}

export function StepStatus({ status }: { status: string }) {
  const { t } = useTranslation('runs');
  return <Badge tone={STEP_TONE[status] ?? 'neutral'}>{t(`step.${status}`, { defaultValue: status })}</Badge>;
}
