import { useTranslation } from 'react-i18next';
import { Link, useRouteError } from 'react-router';
import { Empty, Failure, Page } from '@/shared/ui';
import { views } from './views';

/** An address that leads nowhere. */
export function Missing() {
  const { t } = useTranslation('app');
  const first = views[0];
  return (
    <Page title={t('missing.title')}>
      <Empty title={t('missing.text')}>{first && <Link to={`/${first.name}`}>{t(`nav.${first.name}`)}</Link>}</Empty>
    </Page>
  );
}

/** A view that broke: the rest of the console goes on. */
export function Broken() {
  const { t } = useTranslation('app');
  return (
    <Page title={t('broken')}>
      <Failure error={useRouteError()} retry={() => location.reload()} />
    </Page>
  );
}

/** While nothing has been built yet. */
export function Welcome() {
  const { t } = useTranslation('app');
  return (
    <Page title={t('welcome.title')}>
      <Empty title={t('welcome.text')} />
    </Page>
  );
}
