export const BASE = '/console';
export const DEFAULT = 'default';
const NAME = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

/** The namespace is the first part of the address, so that a link leads to the same data for everybody. */
export function namespaceOf(path: string): string | undefined {
  const part = path.slice(BASE.length + 1).split('/')[0] ?? '';
  return path.startsWith(`${BASE}/`) && NAME.test(part) ? part : undefined;
}

export function namespace(): string {
  return namespaceOf(location.pathname) ?? DEFAULT;
}

/** Another namespace is another page: nothing of this one stays in memory. */
export function enterNamespace(name: string): void {
  location.assign(`${BASE}/${name}/`);
}
