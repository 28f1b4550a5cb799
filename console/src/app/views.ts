import type { ComponentType } from 'react';
import { loadWords } from '@/shared/i18n';
import type { IconName } from './icons';

export interface View {
  /** Its address below the namespace, its words in the navigation (`nav.<name>`) and its feature's words. */
  name: string;
  icon: IconName;
  /** Second key after `g`. */
  key: string;
  load: () => Promise<{ Component: ComponentType }>;
}

/** Every view there is, in the order of the navigation: one line each. A view has addresses of its own below `name`. */
export const views: readonly View[] = [
  { name: 'inbox', icon: 'inbox', key: 'i', load: () => import('@/features/inbox') },
  { name: 'runs', icon: 'runs', key: 'r', load: () => import('@/features/runs') },
  { name: 'cost', icon: 'cost', key: 'c', load: () => import('@/features/cost') },
  { name: 'health', icon: 'health', key: 'h', load: () => import('@/features/health') },
  { name: 'log', icon: 'log', key: 'l', load: () => import('@/features/log') },
];

export async function loadView(view: View): Promise<{ Component: ComponentType }> {
  const [found] = await Promise.all([view.load(), loadWords(view.name)]);
  return { Component: found.Component };
}
