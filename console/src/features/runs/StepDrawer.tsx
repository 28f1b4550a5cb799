import { useQueries } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { Link } from 'react-router';
import { reading } from '@/shared/api';
import { useFormat } from '@/shared/format';
import { Drawer, Facts, Failure, Json, Loading, Section, Time } from '@/shared/ui';
import { addressOf } from './address';
import { tookMs } from './bars';
import { Cost } from './Cost';
import { markAt, type Step } from './journal';
import { Proof } from './Proof';
import { Calls, type Usage } from './Calls';
import css from './runs.module.css';
import type { Moment } from './StepTable';
import { StepStatus } from './status';

interface Decision {
  allow?: boolean;
  reason?: string;
  clauses?: string[];
  revision?: string;
}

interface Told {
  input?: unknown;
  output?: unknown;
  error?: unknown;
  evidence?: unknown;
  because?: string;
  decision?: Decision;
  usage?: Usage[];
}

/** All that is known of one step, read from its own events when it is opened. */
export function StepDrawer({ step, moment, onClose }: { step: Step; moment: Moment; onClose: () => void }) {
  const { t } = useTranslation('runs');
  const marks = step.marks.filter((mark, at) => at === 0 || mark.index <= moment.index);
  const events = useQueries({
    queries: marks.map((mark) => reading('log.show', { seq: mark.seq }, { staleMs: Infinity })),
  });
  const failed = events.find((one) => one.error);
  const told: Told = {};
  for (const { data } of events) {
    const { input, ...rest } = (data?.items[0]?.payload ?? {}) as Told;
    Object.assign(told, rest);
    if (input !== undefined) told.input ??= input;
  }
  return (
    <Drawer title={step.name} open onClose={onClose}>
      <div className={css.detail}>
        <StepFacts step={step} moment={moment} because={told.because} />
        {failed ? <Failure error={failed.error} retry={() => void failed.refetch()} /> : events.some((one) => one.isPending) && <Loading rows={4} />}
        {told.input !== undefined && <Value title={t('detail.input')} value={told.input} />}
        {told.output !== undefined && <Value title={t('detail.output')} value={told.output} />}
        {told.error !== undefined && <Value title={t('detail.error')} value={told.error} />}
        {told.evidence !== undefined && <Value title={t('detail.evidence')} value={told.evidence} />}
        {told.usage && <Calls usage={told.usage} />}
        {told.decision && (
          <Section title={t('detail.decision')}>
            <Facts
              items={[
                [t('detail.verdict'), told.decision.allow ? t('detail.allowed') : t('detail.denied')],
                [t('detail.reason'), told.decision.reason ?? '–'],
                [t('detail.clauses'), <code key="c" className={css.code}>{told.decision.clauses?.join(', ')}</code>],
              ]}
            />
          </Section>
        )}
        <Section title={t('detail.events')}>
          <ol className={css.events}>
            {marks.map((mark) => (
              <li key={mark.seq}>
                <Proof seq={mark.seq} type={mark.type} at={mark.at} />
              </li>
            ))}
          </ol>
        </Section>
      </div>
    </Drawer>
  );
}

function StepFacts({ step, moment, because }: { step: Step; moment: Moment; because: string | undefined }) {
  const { t } = useTranslation('runs');
  const format = useFormat();
  const items: [string, React.ReactNode][] = [
    [t('column.status'), <StepStatus key="s" status={markAt(step, moment.index).status} />],
    [t('column.position'), <code key="p" className={css.code}>{step.position}</code>],
    [t('column.started'), <Time key="t" at={step.begun} absolute />],
    [t('column.took'), format.duration(tookMs(step, moment.index, moment.now))],
    [t('column.cost'), <Cost key="c" micros={step.cost} />],
  ];
  if (step.attempts > 1) items.push([t('column.tries'), format.number(step.attempts)]);
  if (because) items.push([t('detail.because'), because]);
  if (step.child) items.push([t('detail.child'), <Link key="l" to={addressOf(step.child)}>{step.child}</Link>]);
  return (
    <Section title={t('detail.facts')}>
      <Facts items={items} />
    </Section>
  );
}

function Value({ title, value }: { title: string; value: unknown }) {
  return (
    <Section title={title}>
      <Json value={value} label={title} />
    </Section>
  );
}
