"""The stage: one workflow made ready to be rehearsed again and again.

A first rehearsal finds out what the world answers; the calm one, undisturbed,
is answered from its record, and so is every disturbed one. What a read said
once it says again, so that only faults make a difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from agentsquad.operations.chaos.contract import CalmFailedError, Point, Struck
from agentsquad.operations.chaos.judge import judge, repeated
from agentsquad.operations.chaos.point import CRASHES
from agentsquad.runtime.determinism.past import Past
from agentsquad.runtime.determinism.rehearsal import (
    Cut,
    Cutter,
    Fault,
    Options,
    Recorded,
    Rehearsal,
    Story,
)
from agentsquad.runtime.engine.door import World
from agentsquad.runtime.engine.state import ENDED


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """What is rehearsed: a workflow, its input, and a recorded run if there is
    one. `name` is what the person called it."""

    name: str
    workflow: str
    value: Any
    past: Past | None = None
    signals: Mapping[str, Any] = {}
    reads: tuple[str, ...] = ()


class Stage:
    """A subject with its calm run."""

    def __init__(
        self, world: World, subject: Subject, seed: str, known: Past, options: Options
    ) -> None:
        self._world = world
        self.subject = subject
        self._seed = seed
        self._known = known
        self._recorded = Recorded(known)
        self._options = options
        self.calm: Story
        self._cutter: Cutter

    @classmethod
    async def prepare(cls, world: World, subject: Subject, seed: str) -> Stage:
        """Rehearse once to learn and once to compare with.

        CalmFailedError when the run does not end, or not twice to the same.
        """
        options = Options(
            people="rule" if subject.past is None else "recorded",
            signals=subject.signals,
            reads=subject.reads,
        )
        first = Rehearsal(world, seed=seed, past=subject.past, options=options)
        learned = await first.play(subject.workflow, subject.value)
        _ended(learned)
        again = msgspec.structs.replace(options, people="recorded", blobs=first.room.blobs)
        stage = cls(world, subject, seed, await first.past_of(learned), again)
        calm = stage.rehearsal()
        stage.calm = await calm.play(subject.workflow, subject.value)
        stage._cutter = calm.cutter(stage.calm)
        _ended(stage.calm)
        why = judge(learned, stage.calm)
        if why:
            raise CalmFailedError(
                f"{subject.name} comes to something else each time, without any fault: {why}",
                hint="what it does must follow from its input and its steps alone",
            )
        if stage.calm.verdict != "identical":
            raise CalmFailedError(f"{subject.name} does not replay: {stage.calm.verdict}")
        made_up = tuple(sorted({*learned.made_up, *stage.calm.made_up}))
        stage.calm = msgspec.structs.replace(stage.calm, made_up=made_up)
        return stage

    def rehearsal(
        self, faults: tuple[Fault, ...] = (), *, cut: Cut | None = None, light: bool = False
    ) -> Rehearsal:
        """Return a rehearsal answered from the record, with faults or from a
        cut on; `light` computes no pure step again to check the journal."""
        return Rehearsal(
            self._world,
            seed=self._seed,
            past=self._known,
            recorded=self._recorded,
            faults=faults,
            options=msgspec.structs.replace(self._options, cut=cut, light=light),
        )

    async def strike(self, point: Point) -> Struck:
        """Rehearse with one fault and judge what came of it."""
        if point.kind in CRASHES:
            before = point.kind == "crash-before"
            cut = self._cutter.at(point.at - before, arrived=before)
            rehearsal = self.rehearsal(cut=cut, light=True)
        else:
            fault: Any = Fault(kind=point.kind, at=point.at)  # type: ignore[arg-type]
            rehearsal = self.rehearsal((fault,), light=True)
        story = await rehearsal.play(self.subject.workflow, self.subject.value)
        return Struck(
            point=str(point),
            why=judge(self.calm, story),
            repeated=repeated(self.calm, story),
            by_hand=story.by_hand,
        )


def _ended(story: Story) -> None:
    if story.touched:
        raise CalmFailedError(
            f"its code reaches past its actions: {', '.join(story.touched[:3])}",
            hint="put that into an action and call it, or a crash will repeat it",
        )
    if story.status in ENDED:
        return
    why = story.error["message"] if story.error else "nobody sends what it waits for"
    raise CalmFailedError(
        f"undisturbed, the run does not end: it is {story.status}: {why}",
        hint="record a run that ends and give --run, or give what it waits for with --signals",
    )
