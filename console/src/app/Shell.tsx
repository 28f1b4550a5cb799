import { useEffect, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Link, Outlet, useLocation, useNavigate, useNavigation } from 'react-router';
import { useKeys } from '@/shared/keys/useKeys';
import { useStanding } from '@/shared/live';
import { Button, Drawer } from '@/shared/ui';
import { Choices } from './Choices';
import { Icon } from './icons';
import { Nav } from './Nav';
import css from './Shell.module.css';
import { views } from './views';

/** What stays while views come and go. */
export function Shell() {
  const { t } = useTranslation('app');
  const [menu, setMenu] = useState(false);
  const main = useRef<HTMLElement>(null);
  const navigate = useNavigate();
  const busy = useNavigation().state === 'loading';
  useHeadingFocus(main);
  useKeys(Object.fromEntries(views.map((view) => [`g ${view.key}`, () => void navigate(`/${view.name}`)])));
  return (
    <div className={css.shell}>
      <a href="#main" className={css.skip}>
        {t('skip')}
      </a>
      <header className={css.top}>
        <Button look="quiet" onClick={() => setMenu(true)} aria-label={t('menu')} aria-haspopup="dialog">
          <Icon name="menu" />
        </Button>
        <Brand />
        <Standing />
      </header>
      <header className={css.side}>
        <Brand />
        <Nav />
        <div className={css.foot}>
          <Standing />
          <Choices />
        </div>
      </header>
      <main id="main" ref={main} tabIndex={-1} className={css.main} aria-busy={busy}>
        <OfflineNote />
        <div className={css.view}>
          <Outlet />
        </div>
      </main>
      <Drawer title={t('menu')} open={menu} onClose={() => setMenu(false)}>
        <div className={css.drawer}>
          <Nav onGo={() => setMenu(false)} />
          <Choices />
        </div>
      </Drawer>
    </div>
  );
}

function Brand() {
  return (
    <Link to="/" className={css.brand}>
      <img src={`${import.meta.env.BASE_URL}favicon.svg`} alt="" width="20" height="20" />
      Agent Squad
    </Link>
  );
}

function Standing() {
  const { t } = useTranslation('app');
  const standing = useStanding();
  return (
    <p className={css.standing} data-standing={standing}>
      {t(`standing.${standing}`)}
    </p>
  );
}

/** Says so while the server cannot be reached; what is on the page stays, and can be read. */
function OfflineNote() {
  const { t } = useTranslation('app');
  const offline = useStanding() === 'offline';
  return (
    <div role="status">{offline && <p className={css.offline}>{t('offline')}</p>}</div>
  );
}

/** After going to another view a screen reader begins at its heading. */
function useHeadingFocus(main: React.RefObject<HTMLElement | null>): void {
  const view = useLocation().pathname.split('/')[1];
  const before = useRef(view);
  useEffect(() => {
    if (before.current === view) return;
    before.current = view;
    main.current?.querySelector('h1')?.focus({ preventScroll: true });
  }, [view, main]);
}
