import { useTranslation } from 'react-i18next';
import { useFormat, type Money as MoneyValue } from '@/shared/format';
import { Badge, Failure, Loading, Money, Section } from '@/shared/ui';
import { EventList } from './EventList';
import css from './log.module.css';
import { impact, type Impact, type Web } from './links';
import type { ShownProps } from './Record';
import { useWeb } from './useWeb';

const TONES = { asked: 'warn', planned: 'neutral', sent: 'info', confirmed: 'good', failed: 'bad' } as const;

function sums(effects: Impact['effects']): MoneyValue[] {
  const found = new Map<string, number>();
  for (const { money } of effects) {
    if (money) found.set(money.currency, (found.get(money.currency) ?? 0) + money.micros);
  }
  return [...found].map(([currency, micros]) => ({ currency, micros }));
}

/** How far a record reached: runs, decisions, approvals, and what left the house. */
export function ImpactOf({ event, onShow }: ShownProps) {
  const { t } = useTranslation('log');
  const { number } = useFormat();
  const { data, error, refetch } = useWeb(event);
  if (error) return <Failure error={error} retry={() => void refetch()} />;
  if (!data) return <Loading rows={8} />;
  const found = impact(data.web, event.seq);
  const money = sums(found.effects);
  const figures = [
    ['events', found.events], ['runs', found.runs.length], ['decisions', found.decisions.length],
    ['approvals', found.approvals.length], ['effects', found.effects.length],
  ] as const;
  return (
    <>
      <Section title={t('impact.title')}>
        <dl className={css.figures}>
          {figures.map(([name, value]) => (
            <div key={name}>
              <dt>{t(`impact.${name}`)}</dt>
              <dd>{number(value)}</dd>
            </div>
          ))}
          {money.map((one) => (
            <div key={one.currency}>
              <dt>{t('impact.money')}</dt>
              <dd><Money value={one} /></dd>
            </div>
          ))}
        </dl>
        <p className={css.soft}>{data.whole ? t('impact.whole') : t('impact.part')}</p>
      </Section>
      {found.effects.length > 0 && <Effects web={data.web} effects={found.effects} onShow={onShow} />}
      <Group title={t('impact.approvals')} web={data.web} seqs={found.approvals.map((one) => one.seq)} onShow={onShow} />
      <Group title={t('impact.decisions')} web={data.web} seqs={found.decisions.map((one) => one.seq)} onShow={onShow} />
      <Group title={t('impact.runs')} web={data.web} seqs={found.runs.map((one) => one.seq)} onShow={onShow} />
    </>
  );
}

function Group({ title, web, seqs, onShow }: { title: string; web: Web; seqs: number[]; onShow: (seq: number) => void }) {
  if (seqs.length === 0) return null;
  return (
    <Section title={title}>
      <EventList label={title} web={web} seqs={seqs} onShow={onShow} />
    </Section>
  );
}

function Effects({ web, effects, onShow }: { web: Web; effects: Impact['effects']; onShow: (seq: number) => void }) {
  const { t } = useTranslation('log');
  const paid = effects.filter((one) => one.money);
  const rest = effects.filter((one) => !one.money);
  return (
    <>
      {paid.length > 0 && (
        <Section title={t('impact.payments')}>
          <ul className={css.chain}>
            {paid.map(({ event, standing, money }) => (
              <li key={event.seq}>
                <button type="button" className={css.link} onClick={() => onShow(event.seq)}>
                  <span className={css.seq}>#{event.seq}</span>
                  <Badge tone={TONES[standing]}>{t(`standing.${standing}`)}</Badge>
                  <span className={css.about}>{String((event.payload as { action?: string }).action)}</span>
                  <Money value={money!} />
                </button>
              </li>
            ))}
          </ul>
        </Section>
      )}
      <Group title={t('impact.effects')} web={web} seqs={rest.map((one) => one.event.seq)} onShow={onShow} />
    </>
  );
}
