import { useTranslation } from 'react-i18next';
import { NavLink } from 'react-router';
import { Icon } from './icons';
import css from './Nav.module.css';
import { views } from './views';

/** The way to every view there is. */
export function Nav({ onGo }: { onGo?: () => void }) {
  const { t } = useTranslation('app');
  return (
    <nav aria-label={t('nav.label')}>
      <ul className={css.list}>
        {views.map((view) => (
          <li key={view.name}>
            <NavLink to={`/${view.name}`} className={css.link!} onClick={onGo}>
              <Icon name={view.icon} />
              <span>{t(`nav.${view.name}`)}</span>
            </NavLink>
          </li>
        ))}
      </ul>
    </nav>
  );
}
