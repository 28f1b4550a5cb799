import { useTranslation } from 'react-i18next';
import { useFormat } from '@/shared/format';
import { Money, Section } from '@/shared/ui';
import css from './runs.module.css';

export interface Usage {
  model?: string;
  provider?: string;
  input_tokens?: number;
  output_tokens?: number;
  cost_micros?: number | null;
  currency?: string;
}

/** The calls of models that a step made. */
export function Calls({ usage }: { usage: readonly Usage[] }) {
  const { t } = useTranslation('runs');
  const { number } = useFormat();
  return (
    <Section title={t('calls.title')}>
      <table className={css.table}>
        <thead>
          <tr>
            <th scope="col">{t('calls.model')}</th>
            <th scope="col" className={css.end}>{t('calls.in')}</th>
            <th scope="col" className={css.end}>{t('calls.out')}</th>
            <th scope="col" className={css.end}>{t('column.cost')}</th>
          </tr>
        </thead>
        <tbody>
          {usage.map((one, at) => (
            <tr key={at}>
              <th scope="row">{[one.provider, one.model].filter(Boolean).join('/')}</th>
              <td className={css.end}>{number(one.input_tokens ?? 0)}</td>
              <td className={css.end}>{number(one.output_tokens ?? 0)}</td>
              <td className={css.end}>
                {one.cost_micros == null ? t('calls.unknown') : <Money value={{ micros: one.cost_micros, currency: one.currency ?? 'USD' }} />}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </Section>
  );
}
