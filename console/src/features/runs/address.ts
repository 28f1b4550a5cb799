/** The address of a run's page; ids of child runs have slashes, which stay. */
export function addressOf(run: string): string {
  return `/runs/${run.split('/').map(encodeURIComponent).join('/')}`;
}

/** An id cut short where it tells nothing: of a child run the way below its root is what differs. */
export function shortOf(run: string): string {
  const [root = '', ...below] = run.split('/');
  return below.length === 0 ? root : `${root.slice(0, 6)}…/${below.join('/')}`;
}
