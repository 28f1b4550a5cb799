import { useTranslation } from 'react-i18next';
import { Link } from 'react-router';
import { Badge, Button, Facts, Id, Json, Money, Section, Time } from '@/shared/ui';
import { Conversation } from './Conversation';
import { Decision } from './Decision';
import css from './Detail.module.css';
import { useRuling } from './past';
import { moneyOf, riskOf, subjectOf, toneOf, type Question } from './question';
import { Shown } from './Shown';
import { Unusual } from './Unusual';

interface DetailProps {
  one: Question;
  /** Whether who is signed in may answer it. */
  mine: boolean;
  onAnswered: (one: Question, words: string) => void;
  onBack: () => void;
}

/** Everything one must know to answer, in the order in which one asks: what, how much, what is odd, why. */
export function Detail({ one, mine, onAnswered, onBack }: DetailProps) {
  const { t } = useTranslation('inbox');
  const money = moneyOf(one);
  const risk = riskOf(one);
  const answerable = one.kind === undefined || one.kind === 'approval' || one.kind === 'intervention';
  return (
    <article className={css.detail}>
      <header className={css.head}>
        <Button look="quiet" className={css.back} onClick={onBack}>
          {t('back')}
        </Button>
        <div className={css.top}>
          <h2 className={css.subject}>{subjectOf(one)}</h2>
          {money && <Money value={money} className={css.money!} />}
        </div>
        <p className={css.line}>
          {risk !== 'none' && <Badge tone={toneOf(risk)}>{t(`risk.${risk}`)}</Badge>}
          <span>{one.because}</span>
        </p>
      </header>
      <Unusual one={one} />
      <Section title={t('asked.title')}>
        <Facts
          items={[
            [t('asked.action'), <code key="action">{one.action}</code>],
            [t('asked.by'), one.requester],
            [t('asked.at'), <Time key="at" at={one.asked} />],
            ...(one.expires_ms ? [[t('asked.until'), <Deadline key="until" at={one.expires_ms} />] as const] : []),
            [t('asked.roles'), one.roles.join(', ') || t('asked.anybody')],
            [t('asked.run'), <Link key="run" to={`/runs/${encodeURIComponent(one.run)}`}>{one.run}</Link>],
          ]}
        />
      </Section>
      <Section title={t('bound.title')} aside={<Id value={one.binding} length={19} />}>
        <p className={css.note}>{t('bound.text')}</p>
        <Shown value={one.input} />
      </Section>
      <Section title={t('evidence')}>
        <Shown value={one.evidence} />
      </Section>
      <Policy one={one} />
      <Conversation one={one} />
      <Section title={t('exact')}>
        <details className={css.exact}>
          <summary>{t('exactText')}</summary>
          <Json value={{ input: one.input, evidence: one.evidence, binding: one.binding }} label={t('exact')} />
        </details>
      </Section>
      <Decision one={one} mine={mine} answerable={answerable} onAnswered={onAnswered} />
    </article>
  );
}

function Deadline({ at }: { at: number }) {
  return (
    <>
      <Time at={at} /> (<Time at={at} absolute />)
    </>
  );
}

/** The rules that led to a person being asked. */
function Policy({ one }: { one: Question }) {
  const { t } = useTranslation('inbox');
  const { ruling, known } = useRuling(one);
  return (
    <Section title={t('policy.title')}>
      {ruling ? (
        <Facts
          items={[
            [t('policy.reason'), ruling.reason],
            [t('policy.clauses'), <span key="clauses" className={css.clauses}>{ruling.clauses.map((clause) => <code key={clause}>{clause}</code>)}</span>],
            [t('policy.facts'), <Shown key="facts" value={ruling.facts} />],
            [t('policy.revision'), <Id key="revision" value={ruling.revision} length={19} />],
          ]}
        />
      ) : (
        <p className={css.note}>{known ? t('policy.none') : '…'}</p>
      )}
    </Section>
  );
}
