import { createBrowserRouter, redirect, type RouteObject } from 'react-router';
import { BASE, namespace, namespaceOf } from '@/shared/api';
import { Broken, Missing, Welcome } from './Lost';
import { Shell } from './Shell';
import { loadView, views } from './views';

export function startRouter() {
  if (!namespaceOf(location.pathname)) history.replaceState(null, '', `${BASE}/${namespace()}/`);
  const first = views[0];
  const below: RouteObject[] = [
    first ? { index: true, loader: () => redirect(`/${first.name}`) } : { index: true, Component: Welcome },
    ...views.map(
      (view): RouteObject => ({ path: `${view.name}/*`, lazy: () => loadView(view), errorElement: <Broken /> }),
    ),
    { path: '*', Component: Missing },
  ];
  return createBrowserRouter(
    [{ path: '/', Component: Shell, errorElement: <Broken />, HydrateFallback: () => null, children: below }],
    { basename: `${BASE}/${namespace()}` },
  );
}
