import { useEffect, useRef, useState, type ChangeEvent, type ComponentProps, type SubmitEvent } from 'react';
import { useTranslation } from 'react-i18next';
import { useReading } from '@/shared/api';
import { Button, Select, TextField, Toolbar } from '@/shared/ui';
import { isEmpty, type Filter } from './filter';
import css from './log.module.css';

interface FiltersProps {
  filter: Filter;
  onChange: (changes: Partial<Filter>) => void;
  onNumber: (seq: number) => void;
}

const SETTLED_MS = 250;
const FAMILIES = 2;

/** Types that are there, and what several of them begin with. */
function choices(types: Record<string, number>): string[] {
  const names = Object.keys(types);
  const begins = names.map((name) => `${name.split('.')[0]}.*`);
  const families = [...new Set(begins)].filter((one) => begins.filter((other) => other === one).length >= FAMILIES);
  return [...families, ...names].sort();
}

interface TypedProps extends Omit<ComponentProps<typeof TextField>, 'value' | 'onChange'> {
  value: string;
  onTyped: (value: string) => void;
}

/** Says what was typed when the typing rests. */
function TypedField({ value, onTyped, ...rest }: TypedProps) {
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);
  const type = (event: ChangeEvent<HTMLInputElement>) => {
    const text = event.target.value;
    clearTimeout(timer.current);
    timer.current = setTimeout(() => onTyped(text), SETTLED_MS);
  };
  return <TextField {...rest} defaultValue={value} onChange={type} />;
}

export function Filters({ filter, onChange, onNumber }: FiltersProps) {
  const { t } = useTranslation('log');
  const { data } = useReading('log.stats', {}, { staleMs: 30_000 });
  const [round, setRound] = useState(0);
  const [wide, setWide] = useState(Boolean(filter.stream || filter.actor || filter.since || filter.until));
  const types = choices(data?.types ?? {});
  const go = (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const seq = Number(new FormData(event.currentTarget).get('seq'));
    if (Number.isInteger(seq) && seq > 0) onNumber(seq);
  };
  const clear = () => {
    setRound(round + 1);
    onChange({ type: '', stream: '', actor: '', text: '', since: '', until: '' });
  };
  return (
    <Toolbar label={t('filter.label')}>
      <div key={round} className={css.filters}>
        <TypedField quiet type="search" label={t('filter.text')} placeholder={t('filter.textHint')} value={filter.text} onTyped={(value) => onChange({ text: value })} />
        <Select quiet label={t('filter.type')} value={filter.type} onChange={(event) => onChange({ type: event.target.value })}>
          <option value="">{t('filter.anyType')}</option>
          {filter.type && !types.includes(filter.type) && <option>{filter.type}</option>}
          {types.map((one) => (
            <option key={one}>{one}</option>
          ))}
        </Select>
        <form onSubmit={go}>
          <TextField quiet name="seq" inputMode="numeric" pattern="[0-9]+" label={t('filter.seq')} placeholder={t('filter.seqHint')} />
        </form>
        <div className={css.filterButtons}>
          <Button look="quiet" aria-expanded={wide} onClick={() => setWide(!wide)}>
            {wide ? t('filter.less') : t('filter.more')}
          </Button>
          {!isEmpty(filter) && (
            <Button look="quiet" onClick={clear}>
              {t('filter.clear')}
            </Button>
          )}
        </div>
        {wide && (
          <div className={css.wider}>
            <TypedField label={t('filter.stream')} placeholder="run/" spellCheck={false} value={filter.stream} onTyped={(value) => onChange({ stream: value })} />
            <TypedField label={t('filter.actor')} placeholder="person:" spellCheck={false} value={filter.actor} onTyped={(value) => onChange({ actor: value })} />
            <TypedField type="datetime-local" step={1} label={t('filter.since')} value={filter.since} onTyped={(value) => onChange({ since: value })} />
            <TypedField type="datetime-local" step={1} label={t('filter.until')} value={filter.until} onTyped={(value) => onChange({ until: value })} />
          </div>
        )}
      </div>
    </Toolbar>
  );
}
