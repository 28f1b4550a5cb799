import { markAt, type Step } from '../journal';
import { shapeOf, type Fan, type Part } from './shape';

export const WIDTH = 184;
export const HEIGHT = 52;
const GAP_X = 44;
const GAP_Y = 16;
const ROW_GAP = 44;
/** Where the top line of a graph breaks. */
const ROW_MAX = 6 * (WIDTH + GAP_X);
/** A fan of more lanes is drawn as one box until it is opened. */
export const LANES_MAX = 6;

export interface Placed {
  id: string;
  x: number;
  y: number;
  step?: Step;
  /** What a closed fan holds: how many lanes, and how its steps stand. */
  fan?: { position: string; lanes: number; name: string; standing: Readonly<Record<string, number>> };
}

export interface Drawing {
  nodes: Placed[];
  edges: { from: string; to: string }[];
}

interface Block {
  nodes: Placed[];
  edges: { from: string; to: string }[];
  width: number;
  height: number;
  entries: string[];
  exits: string[];
}

/** Places steps in the order they depend on each other: the next further on, side by side one under the other. */
export function layOut(steps: readonly Step[], index: number, open: ReadonlySet<string>): Drawing {
  const rows = wrapped(blocksOf(shapeOf(steps), index, open)).map(chain);
  const whole = emptyBlock();
  for (const row of rows) {
    place(whole, row, 0, whole.height === 0 ? 0 : whole.height + ROW_GAP);
    link(whole, row);
    whole.exits = row.exits;
    whole.height += row.height + (whole.height === 0 ? 0 : ROW_GAP);
  }
  return { nodes: whole.nodes, edges: whole.edges };
}

/** A long run goes on in the next line, as text does, so that its boxes can be read. */
function wrapped(blocks: readonly Block[]): Block[][] {
  const rows: Block[][] = [];
  let width = ROW_MAX;
  for (const block of blocks) {
    if (width + block.width > ROW_MAX) {
      rows.push([]);
      width = 0;
    }
    rows.at(-1)!.push(block);
    width += block.width + GAP_X;
  }
  return rows;
}

function emptyBlock(): Block {
  return { nodes: [], edges: [], width: 0, height: 0, entries: [], exits: [] };
}

function link(whole: Block, next: Block): void {
  for (const from of whole.exits) whole.edges.push(...next.entries.map((to) => ({ from, to })));
}

function blocksOf(parts: readonly Part[], index: number, open: ReadonlySet<string>): Block[] {
  const blocks = parts.map((part) => (part.kind === 'one' ? box(stepNode(part.step)) : ofFan(part, index, open)));
  return blocks.filter((one) => one.nodes.length > 0);
}

function chain(blocks: readonly Block[]): Block {
  const whole = { ...emptyBlock(), height: Math.max(0, ...blocks.map((one) => one.height)) };
  for (const one of blocks) {
    const x = whole.width === 0 ? 0 : whole.width + GAP_X;
    place(whole, one, x, (whole.height - one.height) / 2);
    link(whole, one);
    if (whole.entries.length === 0) whole.entries = one.entries;
    whole.exits = one.exits;
    whole.width = x + one.width;
  }
  return whole;
}

function ofFan(fan: Fan, index: number, open: ReadonlySet<string>): Block {
  const lanes = fan.lanes.length;
  if (lanes > LANES_MAX && !open.has(fan.position)) return box(closed(fan, index));
  const whole = emptyBlock();
  for (const lane of fan.lanes) {
    const one = chain(blocksOf(lane, index, open));
    const y = whole.height === 0 ? 0 : whole.height + GAP_Y;
    place(whole, one, 0, y);
    whole.entries.push(...one.entries);
    whole.exits.push(...one.exits);
    whole.width = Math.max(whole.width, one.width);
    whole.height = y + one.height;
  }
  return whole;
}

function place(whole: Block, one: Block, x: number, y: number): void {
  for (const node of one.nodes) whole.nodes.push({ ...node, x: node.x + x, y: node.y + y });
  whole.edges.push(...one.edges);
}

function box(node: Placed): Block {
  return { nodes: [node], edges: [], width: WIDTH, height: HEIGHT, entries: [node.id], exits: [node.id] };
}

function stepNode(step: Step): Placed {
  return { id: step.position, x: 0, y: 0, step };
}

function closed(fan: Fan, index: number): Placed {
  const steps = fan.lanes.flatMap(stepsOf);
  const standing: Record<string, number> = {};
  for (const step of steps) {
    const { status } = markAt(step, index);
    standing[status] = (standing[status] ?? 0) + 1;
  }
  const name = [...new Set(steps.map((one) => one.name))].slice(0, 2).join(', ');
  return { id: `fan ${fan.position}`, x: 0, y: 0, fan: { position: fan.position, lanes: fan.lanes.length, name, standing } };
}

function stepsOf(lane: readonly Part[]): Step[] {
  return lane.flatMap((part) => (part.kind === 'one' ? [part.step] : part.lanes.flatMap(stepsOf)));
}
