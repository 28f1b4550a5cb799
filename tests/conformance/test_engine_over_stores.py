"""The suite of the engine over every store: the same programs leave the same
journals, in memory, in a file and in PostgreSQL, where the engine is the one
that several processes share.
"""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agentsquad.runtime.engine.contract import Engine, Lease
from agentsquad.runtime.engine.shared import SharedEngine, TenureLease
from agentsquad.runtime.engine.shell import EmbeddedEngine

_path = Path(__file__).with_name("engine_kit.py")
_spec = importlib.util.spec_from_file_location("squad_engine_kit", _path)
assert _spec and _spec.loader
kit = sys.modules.setdefault(_spec.name, importlib.util.module_from_spec(_spec))
if not hasattr(kit, "opened"):
    _spec.loader.exec_module(kit)
suite = kit.load(Path(__file__).with_name("test_engine.py"))
ledgers = kit.load(Path(__file__).with_name("ledger_kit.py"))
world = suite.world

pytestmark = pytest.mark.slow


class KeptRoom(kit.Room):
    """An installation whose log is kept; in PostgreSQL with the engine that
    several processes share.
    """

    async def open(self) -> KeptRoom:
        if self.ledger.tenure is None:
            return await super().open()  # type: ignore[no-any-return]
        made = self.world()
        made.ports.put(Lease, TenureLease(self.ledger.tenure))
        self.engine = SharedEngine(made, self.ledger.tenure, lambda: EmbeddedEngine(made))
        self._stack.push_async_callback(self.engine.close)
        made.ports.put(Engine, self.engine)
        await self.engine.recover()
        assert self.engine.driving
        return self


@contextlib.asynccontextmanager
async def opened(store: str, folder: Path) -> AsyncIterator[Any]:
    """An installation over one store."""
    made = KeptRoom("embedded", suite.PLUGIN, store=ledgers.url_of(store, folder))
    try:
        yield await made.open()
    finally:
        await made.close()
        made.ledger.close()


@pytest.fixture(params=ledgers.KEPT)
async def room(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Any]:
    world.afresh()
    async with opened(request.param, tmp_path) as made:
        yield made


# Every test of the engine's suite that is given a room.
for _name, _test in vars(suite).items():
    if _name.startswith("test_") and _name != "test_engines_leave_the_same_journal":
        globals()[_name] = _test


async def lived(store: str, folder: Path, workflow: str, n: int, approve: bool) -> Any:
    """One life of a program: everything that must be the same in each."""
    side = world.afresh()
    async with opened(store, folder) as room:
        run = await room.engine.start(workflow, world.N(n), key="same", actor="person:eve")
        if workflow == "expiring":
            outcome = await room.engine.wait(run, timeout_ms=kit.LONG_MS)
        else:
            outcome = await room.play(run, approve=approve)
        return {
            "outcome": (outcome.run, outcome.status, outcome.output, outcome.error),
            "journal": await kit.journal(room, run),
            "verdicts": await kit.verdicts(room, run),
            "outside": sorted(side.received),
        }


@pytest.mark.parametrize(
    ("workflow", "n", "approve"), suite.PROGRAMS, ids=lambda value: str(value).lower()
)
async def test_stores_leave_the_same_journal(
    workflow: str, n: int, approve: bool, tmp_path: Path
) -> None:
    first = await lived("memory", tmp_path, workflow, n, approve)
    assert first["verdicts"] == {"identical"}
    for store in ledgers.KEPT:
        assert await lived(store, tmp_path, workflow, n, approve) == first, store
