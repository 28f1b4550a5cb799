import { useTranslation } from 'react-i18next';
import { Link } from 'react-router';
import { Badge, Money, Time } from '@/shared/ui';
import { moneyOf, riskOf, subjectOf, toneOf, type Question } from './question';
import css from './Questions.module.css';

export const rowOf = (id: string) => document.getElementById(`question-${id}`);

interface QuestionsProps {
  rows: readonly Question[];
  current: string | undefined;
  picked: ReadonlySet<string>;
  onPick: (id: string) => void;
  search: string;
}

export function Questions({ rows, current, picked, onPick, search }: QuestionsProps) {
  const { t } = useTranslation('inbox');
  return (
    <ul className={css.list} aria-label={t('title')}>
      {rows.map((one) => (
        <li key={one.id} className={css.row} data-current={one.id === current}>
          <input type="checkbox" className={css.pick} checked={picked.has(one.id)} onChange={() => onPick(one.id)} aria-label={t('pick', { subject: subjectOf(one) })} />
          <Link id={`question-${one.id}`} to={{ pathname: `/inbox/${one.id}`, search }} className={css.link} aria-current={one.id === current ? 'true' : undefined}>
            <Line one={one} />
          </Link>
        </li>
      ))}
    </ul>
  );
}

function Line({ one }: { one: Question }) {
  const { t } = useTranslation('inbox');
  const money = moneyOf(one);
  const risk = riskOf(one);
  return (
    <>
      <span className={css.line}>
        <span className={css.subject}>{subjectOf(one)}</span>
        {money && <Money value={money} />}
      </span>
      <span className={css.rest}>
        <span className={css.what}>
          {one.kind && one.kind !== 'approval' ? t(`kind.${one.kind}`) : one.action}
          {(one.said?.length ?? 0) > 0 && ` · ${t('said', { count: one.said!.length })}`}
        </span>
        {risk !== 'none' && <Badge tone={toneOf(risk)}>{t(`risk.${risk}`)}</Badge>}
        <Time at={one.expires_ms ?? one.asked} />
      </span>
    </>
  );
}
