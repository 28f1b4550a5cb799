import { useMemo } from 'react';
import { useTranslation } from 'react-i18next';
import { useReading } from '@/shared/api';
import { Select, TextField, Toolbar } from '@/shared/ui';
import css from './runs.module.css';
import { RUN_STATUSES } from './status';
import { SINCE, type FilterName, type Filters } from './useFilters';

/** Workflows of so many of the newest runs are proposed. */
const NEWEST = 200;

interface RunFiltersProps {
  filters: Filters;
  narrow: (name: FilterName, value: string) => void;
}

export function RunFilters({ filters, narrow }: RunFiltersProps) {
  const { t } = useTranslation('runs');
  const { data } = useReading('runs.list', { all: filters.all, limit: NEWEST }, { staleMs: 60_000 });
  const names = useMemo(() => {
    const seen = [filters.workflow, ...(data?.items ?? []).map((one) => one.workflow)];
    return [...new Set(seen)].filter(Boolean).sort();
  }, [data, filters.workflow]);
  return (
    <Toolbar label={t('filter.label')}>
      <TextField
        label={t('filter.text')}
        quiet
        type="search"
        placeholder={t('filter.text')}
        value={filters.text}
        onChange={(event) => narrow('text', event.target.value)}
      />
      <Select label={t('filter.workflow')} quiet value={filters.workflow} onChange={(event) => narrow('workflow', event.target.value)}>
        <option value="">{t('filter.anyWorkflow')}</option>
        {names.map((name) => (
          <option key={name} value={name}>
            {name}
          </option>
        ))}
      </Select>
      <Select label={t('filter.status')} quiet value={filters.status ?? ''} onChange={(event) => narrow('status', event.target.value)}>
        <option value="">{t('filter.anyStatus')}</option>
        {RUN_STATUSES.map((status) => (
          <option key={status} value={status}>
            {t(`status.${status}`)}
          </option>
        ))}
      </Select>
      <Select label={t('filter.since')} quiet value={filters.since ?? ''} onChange={(event) => narrow('since', event.target.value)}>
        <option value="">{t('filter.anyTime')}</option>
        {Object.keys(SINCE).map((since) => (
          <option key={since} value={since}>
            {t(`since.${since}`)}
          </option>
        ))}
      </Select>
      <label className={css.check}>
        <input type="checkbox" checked={filters.all} onChange={(event) => narrow('all', event.target.checked ? '1' : '')} />
        {t('filter.all')}
      </label>
    </Toolbar>
  );
}
