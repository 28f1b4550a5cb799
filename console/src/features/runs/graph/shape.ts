import type { Step } from '../journal';

/** A run as its positions tell it: what comes one after the other, and what runs side by side. */
export type Part = One | Fan;

export interface One {
  kind: 'one';
  step: Step;
}

export interface Fan {
  kind: 'fan';
  position: string;
  lanes: Part[][];
}

interface Branch {
  step?: Step;
  below: Map<string, Branch>;
}

function order(a: string, b: string): number {
  return a.localeCompare(b, 'en', { numeric: true });
}

/**
 * A position such as `2.4.1` reads: at the second place several lanes began, in the fourth of them this
 * is the first step. Numbers at odd depth follow each other, those at even depth stand side by side.
 */
export function shapeOf(steps: readonly Step[]): Part[] {
  const root: Branch = { below: new Map() };
  for (const step of steps) {
    let at = root;
    for (const word of step.position.split('.')) {
      let next = at.below.get(word);
      if (!next) at.below.set(word, (next = { below: new Map() }));
      at = next;
    }
    at.step = step;
  }
  return sequence(root, '');
}

function sequence(branch: Branch, before: string): Part[] {
  const parts: Part[] = [];
  for (const [word, one] of [...branch.below].sort(([a], [b]) => order(a, b))) {
    const position = `${before}${word}`;
    if (one.step) parts.push({ kind: 'one', step: one.step });
    if (one.below.size === 0) continue;
    const lanes = [...one.below].sort(([a], [b]) => order(a, b)).map(([lane, inner]) => laneOf(inner, `${position}.${lane}`));
    parts.push({ kind: 'fan', position, lanes });
  }
  return parts;
}

function laneOf(branch: Branch, position: string): Part[] {
  const own: Part[] = branch.step ? [{ kind: 'one', step: branch.step }] : [];
  return [...own, ...sequence(branch, `${position}.`)];
}
