"""The sweep: every chosen point played and judged, and what it all came to."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from agentsquad.operations.chaos.contract import Failure, Point, Struck, Tally, Workers
from agentsquad.operations.chaos.point import boundary
from agentsquad.operations.chaos.stage import Stage

Tell = Callable[[int, int, int], None]  # played, of all, not recovered


class Swept(msgspec.Struct, kw_only=True):
    """What the points came to."""

    recovered: int = 0
    repeated: int = 0
    kinds: dict[str, Tally] = {}
    failures: list[Failure] = []
    by_hand: list[str] = []


async def sweep(
    stage: Stage, points: Sequence[Point], workers: tuple[Workers, int], repeat: str, tell: Tell
) -> Swept:
    """Play all points; `repeat` is the command that failures are told with."""
    side_by_side, count = workers

    async def work(point: Point) -> bytes:
        return msgspec.json.encode(await stage.strike(point))

    found: dict[str, Struck] = {}
    wrong = 0
    async for result in side_by_side.each(work, points, count):
        struck = msgspec.json.decode(result, type=Struck)
        found[struck.point] = struck
        wrong += bool(struck.why)
        tell(len(found), len(points), wrong)
    return _told(stage, points, found, repeat)


def _told(stage: Stage, points: Sequence[Point], found: dict[str, Struck], repeat: str) -> Swept:
    swept = Swept(kinds={}, failures=[])
    by_hand: set[str] = set()
    for point in points:
        struck = found[str(point)]
        tally = swept.kinds.setdefault(point.kind, Tally())
        tally.points += 1
        by_hand.update(struck.by_hand)
        swept.repeated += struck.repeated
        if not struck.why:
            tally.recovered += 1
            swept.recovered += 1
            continue
        swept.failures.append(
            Failure(
                point=str(point),
                boundary=boundary(stage.calm, point),
                why=struck.why,
                repeated_effects=struck.repeated,
                repeat=f"{repeat} --only {point}",
            )
        )
    swept.by_hand = sorted(by_hand)
    return swept
