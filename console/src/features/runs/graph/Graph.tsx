import '@xyflow/react/dist/style.css';
import { Background, Controls, Handle, Position, ReactFlow, type Edge, type Node, type NodeProps } from '@xyflow/react';
import { useMemo, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useFormat } from '@/shared/format';
import type { Tone } from '@/shared/ui';
import { tookMs } from '../bars';
import { markAt, type Step } from '../journal';
import { STEP_TONE, StepStatus } from '../status';
import type { Moment } from '../StepTable';
import css from './graph.module.css';
import { HEIGHT, layOut, WIDTH, type Placed } from './layout';

interface GraphProps {
  steps: readonly Step[];
  moment: Moment;
  onOpen: (step: Step) => void;
}

interface Given extends Record<string, unknown> {
  placed: Placed;
  moment: Moment;
  press: () => void;
}

type Box = Node<Given, 'box'>;

const TYPES = { box: StepBox };
/** So many boxes at most; beyond them the table is the better reading. */
const MOST = 400;

/** A run as a graph: each step a box, in the order they depend on each other. */
export function Graph({ steps, moment, onOpen }: GraphProps) {
  const { t } = useTranslation('runs');
  const [open, setOpen] = useState<ReadonlySet<string>>(new Set());
  const shown = useMemo(() => layOut(steps, moment.index, open), [steps, moment.index, open]);
  const nodes = useMemo<Box[]>(
    () =>
      shown.nodes.slice(0, MOST).map((placed) => ({
        id: placed.id,
        type: 'box',
        position: { x: placed.x, y: placed.y },
        width: WIDTH,
        height: HEIGHT,
        focusable: false,
        data: {
          placed,
          moment,
          press: () => {
            if (placed.step) onOpen(placed.step);
            else if (placed.fan) setOpen(new Set([...open, placed.fan.position]));
          },
        },
      })),
    [shown, moment, onOpen, open],
  );
  const edges = useMemo<Edge[]>(
    () => shown.edges.map(({ from, to }) => ({ id: `${from} ${to}`, source: from, target: to, type: 'smoothstep', focusable: false })),
    [shown],
  );
  return (
    <div className={css.graph} role="group" aria-label={t('graph.label')} dir="ltr">
      <ReactFlow
        key={[...open].join(' ')}
        nodes={nodes}
        edges={edges}
        nodeTypes={TYPES}
        nodesDraggable={false}
        nodesConnectable={false}
        elementsSelectable={false}
        fitView
        fitViewOptions={{ maxZoom: 1, minZoom: 0.5, padding: 0.08 }}
        minZoom={0.1}
        maxZoom={1.5}
        onlyRenderVisibleElements
        disableKeyboardA11y
        proOptions={{ hideAttribution: true }}
        ariaLabelConfig={{
          'controls.ariaLabel': t('graph.controls'),
          'controls.zoomIn.ariaLabel': t('graph.in'),
          'controls.zoomOut.ariaLabel': t('graph.out'),
          'controls.fitView.ariaLabel': t('graph.fit'),
        }}
      >
        <Background gap={20} color="var(--line)" />
        <Controls showInteractive={false} position="bottom-right" />
      </ReactFlow>
      {shown.nodes.length > MOST && <p className={css.note}>{t('graph.most', { count: MOST })}</p>}
    </div>
  );
}

function StepBox({ data }: NodeProps<Box>) {
  const { placed, moment, press } = data;
  return (
    <>
      <Handle type="target" position={Position.Left} className={css.handle} />
      <button type="button" className={`${css.box} nopan`} data-tone={toneOf(placed, moment)} onClick={press}>
        {placed.step ? <OfStep step={placed.step} moment={moment} /> : <OfFan placed={placed} />}
      </button>
      <Handle type="source" position={Position.Right} className={css.handle} />
    </>
  );
}

function toneOf({ step, fan }: Placed, { index }: Moment): string {
  if (step) return STEP_TONE[markAt(step, index).status] ?? 'neutral';
  const tones = new Set(Object.keys(fan?.standing ?? {}).map((one) => STEP_TONE[one] ?? 'neutral'));
  return ['bad', 'warn', 'info', 'good'].find((one) => tones.has(one as Tone)) ?? 'neutral';
}

function OfStep({ step, moment }: { step: Step; moment: Moment }) {
  const { duration } = useFormat();
  return (
    <>
      <span className={css.name}>{step.name}</span>
      <span className={css.line}>
        <StepStatus status={markAt(step, moment.index).status} />
        <span>{duration(tookMs(step, moment.index, moment.now))}</span>
      </span>
    </>
  );
}

function OfFan({ placed: { fan } }: { placed: Placed }) {
  const { t } = useTranslation('runs');
  const { number } = useFormat();
  if (!fan) return null;
  const told = Object.entries(fan.standing).map(([status, count]) => `${number(count)} ${t(`step.${status}`)}`);
  return (
    <>
      <span className={css.name}>{`${number(fan.lanes)} × ${fan.name}`}</span>
      <span className={css.line}>
        <span>{told.join(', ')}</span>
        <span className={css.more}>{t('graph.open')}</span>
      </span>
    </>
  );
}
