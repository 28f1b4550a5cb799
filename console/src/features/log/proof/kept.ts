import { namespace } from '@/shared/api';
import { base64 } from './bytes';
import type { Kept } from './check';
import type { Checkpoint } from './note';

/** What this browser remembers of a log, as a witness of its own: the key it trusts, the newest head it checked. */
interface Memory {
  key?: string;
  head?: Kept;
}

const place = () => `squad.log.${namespace()}`;

export function memory(): Memory {
  try {
    return JSON.parse(localStorage.getItem(place()) ?? '{}') as Memory;
  } catch {
    return {};
  }
}

function keep(changed: Memory): void {
  try {
    localStorage.setItem(place(), JSON.stringify({ ...memory(), ...changed }));
  } catch {
    // then the next visit begins anew
  }
}

export function keepKey(key: string): void {
  keep({ key });
}

/** Only ever a larger one: what was seen once is not unseen. */
export function keepHead({ size, root }: Checkpoint): void {
  if (size > (memory().head?.size ?? 0)) keep({ head: { size, root: base64(root) } });
}
