import { useCallback, useMemo, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useLocation, useNavigate, useSearchParams } from 'react-router';
import { useMay, useReading, useSession } from '@/shared/api';
import { useKeys } from '@/shared/keys/useKeys';
import { Badge, Empty, Failure, KeyHelp, Loading, Page, Select, TextField, Toolbar } from '@/shared/ui';
import { BatchBar } from './Batch';
import { Detail } from './Detail';
import css from './inbox.module.css';
import { Questions, rowOf } from './Questions';
import { byUrgency, isFor, RISKS, riskOf, subjectOf, type Question } from './question';

const LIVE = ['approval.', 'incident.', 'signal.', 'timer.', 'run.', 'question.'];
const NONE: readonly Question[] = [];
const WIDE = '(min-width: 1000px)';

function chosenIn(path: string): string | undefined {
  const parts = path.split('/');
  return parts[parts.indexOf('inbox') + 1] || undefined;
}

/** What waits for people: what is urgent first, and all one must know to answer. */
export function Component() {
  const { t } = useTranslation('inbox');
  const { actor } = useSession();
  const { roles } = useMay();
  const inbox = useReading('runs.inbox', {}, { live: LIVE });
  const [search, setSearch] = useSearchParams();
  const chosen = chosenIn(useLocation().pathname);
  const navigate = useNavigate();
  const [picked, setPicked] = useState<ReadonlySet<string>>(new Set());
  const [said, setSaid] = useState('');

  const everything = inbox.data?.items ?? NONE;
  const mine = useMemo(
    () => (roles ? everything.filter((one) => isFor(one, actor, roles)) : NONE),
    [everything, roles, actor],
  );
  const all = search.get('whose') === 'all';
  const shown = useMemo(() => [...narrowed(all ? everything : mine, search)].sort(byUrgency), [all, everything, mine, search]);
  const found = shown.find((one) => one.id === chosen) ?? everything.find((one) => one.id === chosen);
  const current = chosen ? found : shown[0];
  const selected = shown.filter((one) => picked.has(one.id));

  const to = useCallback(
    (id?: string) => void navigate({ pathname: id ? `/inbox/${id}` : '/inbox', search: search.toString() }),
    [navigate, search],
  );
  const filter = (name: string, value: string) => {
    const next = new URLSearchParams(search);
    if (value) next.set(name, value);
    else next.delete(name);
    setSearch(next, { replace: true });
  };
  const pick = (id: string) =>
    setPicked((before) => {
      const next = new Set(before);
      if (!next.delete(id)) next.add(id);
      return next;
    });
  const step = (by: number) => {
    const focused = shown.findIndex((one) => rowOf(one.id) === document.activeElement);
    const from = focused >= 0 ? focused : shown.findIndex((one) => one.id === current?.id) - (chosen || focused >= 0 ? 0 : 1);
    const next = shown[Math.max(0, Math.min(shown.length - 1, from + by))];
    if (!next) return;
    if (matchMedia(WIDE).matches) to(next.id);
    rowOf(next.id)?.focus();
  };
  const answered = (one: Question, words: string) => {
    setSaid(words);
    setPicked((before) => new Set([...before].filter((id) => id !== one.id)));
    const at = shown.findIndex((other) => other.id === one.id);
    const next = shown[at + 1] ?? shown[at - 1];
    to(matchMedia(WIDE).matches ? next?.id : undefined);
    requestAnimationFrame(() => (next ? rowOf(next.id)?.focus() : undefined));
  };
  useKeys({
    j: () => step(1),
    k: () => step(-1),
    x: () => {
      const at = shown.find((one) => rowOf(one.id) === document.activeElement) ?? current;
      if (at) pick(at.id);
    },
    '/': () => document.querySelector<HTMLInputElement>(`.${css.search} input`)?.focus(),
    Escape: () => to(),
  });

  return (
    <Page title={t('title')} fill aside={inbox.data && <Badge tone={mine.length ? 'accent' : 'neutral'}>{t('waiting', { count: mine.length })}</Badge>}>
      <p role="status" className="visually-hidden">
        {said}
      </p>
      <div className={css.inbox} data-open={chosen !== undefined}>
        <div className={css.side}>
          <Toolbar label={t('filters')}>
            <div className={css.search}>
              <TextField label={t('search')} quiet type="search" placeholder={t('search')} value={search.get('q') ?? ''} onChange={(event) => filter('q', event.target.value)} />
            </div>
            <Select label={t('whose.label')} quiet value={all ? 'all' : ''} onChange={(event) => filter('whose', event.target.value)}>
              <option value="">{t('whose.mine')}</option>
              <option value="all">{t('whose.all')}</option>
            </Select>
            <Select label={t('risk.label')} quiet value={search.get('risk') ?? ''} onChange={(event) => filter('risk', event.target.value)}>
              <option value="">{t('risk.any')}</option>
              {RISKS.map((risk) => (
                <option key={risk} value={risk}>
                  {t(`risk.${risk}`)}
                </option>
              ))}
            </Select>
          </Toolbar>
          {inbox.isError && !inbox.data ? (
            <Failure error={inbox.error} retry={() => void inbox.refetch()} />
          ) : !inbox.data || !roles ? (
            <Loading />
          ) : shown.length === 0 ? (
            <Nothing hidden={everything.length} filtered={search.size > 0} />
          ) : (
            <Questions rows={shown} current={current?.id} picked={picked} onPick={pick} search={search.toString()} />
          )}
          {selected.length > 0 && <BatchBar items={selected} onDone={setSaid} onClear={() => setPicked(new Set())} />}
        </div>
        <section className={css.detail} aria-label={current ? subjectOf(current) : t('detail')}>
          {current && roles ? (
            <Detail key={current.id} one={current} mine={isFor(current, actor, roles)} onAnswered={answered} onBack={() => to()} />
          ) : (
            chosen && inbox.data && <Empty title={t('gone')} />
          )}
        </section>
      </div>
      <KeyHelp keys={(['j', 'k', 'Enter', 'a', 'r', 'q', 'd', 'x', '/', 'Escape'] as const).map((key) => [key, t(`keys.${key}`)])} />
    </Page>
  );
}

function narrowed(items: readonly Question[], search: URLSearchParams): readonly Question[] {
  const risk = search.get('risk');
  const words = (search.get('q') ?? '').toLocaleLowerCase().split(/\s+/).filter(Boolean);
  return items.filter((one) => {
    if (risk && riskOf(one) !== risk) return false;
    if (words.length === 0) return true;
    const text = JSON.stringify([one.id, one.run, one.action, one.because, one.requester, one.input, one.evidence]).toLocaleLowerCase();
    return words.every((word) => text.includes(word));
  });
}

function Nothing({ hidden, filtered }: { hidden: number; filtered: boolean }) {
  const { t } = useTranslation('inbox');
  if (filtered) return <Empty title={t('empty.filtered')} />;
  return <Empty title={t('empty.title')}>{hidden > 0 ? t('empty.others', { count: hidden }) : t('empty.text')}</Empty>;
}
