import { useTranslation } from 'react-i18next';
import { Badge, Empty } from '@/shared/ui';
import css from './log.module.css';
import { base64 } from './proof/bytes';
import type { Checked, Step } from './proof/check';
import type { Fold } from './proof/merkle';

const TONES = { good: 'good', bad: 'bad', open: 'warn' } as const;
const VERDICTS = { proven: 'good', unsigned: 'warn', broken: 'bad' } as const;

export function NoCrypto() {
  const { t } = useTranslation('log');
  return <Empty title={t('noCrypto.title')}><p>{t('noCrypto.text')}</p></Empty>;
}

export function Verdict({ verdict }: { verdict: Checked['verdict'] }) {
  const { t } = useTranslation('log');
  return (
    <p role="status" className={`${css.verdict} ${css[VERDICTS[verdict]]}`}>
      <strong>{t(`verdict.${verdict}`)}</strong> <span>{t(`verdictText.${verdict}`)}</span>
    </p>
  );
}

/** What was checked, in the order it was, with what came out. */
export function Steps({ steps, seq, size, from }: { steps: readonly Step[]; seq?: number; size: number; from?: number }) {
  const { t } = useTranslation('log');
  return (
    <ol className={css.steps}>
      {steps.map((one) => (
        <li key={one.id} className={css.step} data-step={one.id} data-state={one.state}>
          <div className={css.stepHead}>
            <h3>{t(`step.${one.id}`, { seq, size, from })}</h3>
            <Badge tone={TONES[one.state]}>{t(`state.${one.state}`)}</Badge>
          </div>
          <p className={css.soft}>{t(`stepText.${one.id}`, { seq, size, from })}</p>
          <Values step={one} />
          {one.folds && one.folds.length > 0 && <Folds folds={one.folds} />}
        </li>
      ))}
    </ol>
  );
}

function Values({ step }: { step: Step }) {
  const { t } = useTranslation('log');
  const { expected, found } = step;
  if (!expected && !found) return null;
  const both = expected !== undefined && found !== undefined && expected !== found;
  return (
    <dl className={css.values}>
      {both && <><dt>{t('expected')}</dt><dd><code>{expected}</code></dd></>}
      <dt>{both ? t('found') : t('value')}</dt>
      <dd><code>{found ?? expected}</code></dd>
    </dl>
  );
}

/** Each hash up to the root: the one we had, beside the one the proof gave. */
function Folds({ folds }: { folds: readonly Fold[] }) {
  const { t } = useTranslation('log');
  const side = (fold: Fold, which: 'left' | 'right') => (
    <code className={fold.given === which ? css.given : css.own}>{base64(fold[which]).slice(0, 8)}</code>
  );
  return (
    <details className={css.folds}>
      <summary>{t('hashes', { count: folds.length })}</summary>
      <ol>
        {folds.map((one, at) => (
          <li key={at}>
            <span>SHA-256(1 ‖ {side(one, 'left')} ‖ {side(one, 'right')}) = <code className={css.own}>{base64(one.value).slice(0, 8)}</code></span>
          </li>
        ))}
      </ol>
      <p className={css.soft}><code className={css.given}>{t('given')}</code> <code className={css.own}>{t('own')}</code></p>
    </details>
  );
}
