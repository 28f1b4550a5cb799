"""A run that another process moves to a new version between the end it has
placed and the commit of that end."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentsquad.kernel.event import NewEvent
from agentsquad.runtime.engine.state import END_EVENTS
from agentsquad.runtime.ledger.log import EventLog
from agentsquad.runtime.ledger.plugin import open_ledger
from agentsquad.testing import ManualClock, SeededEntropy
from agentsquad.testing.clock import settle

sys.path.insert(0, str(Path(__file__).parent))
from deploying import DeploySquad, write

_spec = importlib.util.spec_from_file_location(
    "ledger_kit", Path(__file__).parents[3] / "conformance" / "ledger_kit.py"
)
assert _spec and _spec.loader
if "ledger_kit" not in sys.modules:
    sys.modules["ledger_kit"] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules["ledger_kit"])
kit: Any = sys.modules["ledger_kit"]

OLD = '''
from __future__ import annotations

from agentsquad.runtime.engine.contract import workflow


@workflow("flow")
async def flow(ctx, value: int) -> int:
    """Wait, then say which version this is."""
    await ctx.signal("go")
    return 1
'''
NEW = OLD.replace("return 1", "return 2")


class Unheard:
    """Whoever placed something and does not wait for it."""

    def stands(self, before: Any, now: Any) -> bool:
        return True

    def settled(self, error: Any, events: Any) -> None:
        assert error is None


def slipped_in(squad: Beside, told: NewEvent, patch: pytest.MonkeyPatch) -> list[str]:
    """Have another process append an event when this one is about to commit
    the end of a run; return what ends were about to be committed."""
    log: Any = squad.ledger.store
    other: Any = squad.other
    commit, ends = log._commit, []

    def late(appends: Any, placing: Any) -> None:
        found = [d.event.type for a in appends for d in a.drafts if d.event.type in END_EVENTS]
        if found and not ends:
            other.place([told], holder=Unheard())
            other._flush()
        ends.extend(found)
        commit(appends, placing)

    patch.setattr(log, "_commit", late)
    return ends


class Beside(DeploySquad):
    """A squad, and what another process has open of its log."""

    other: EventLog


@pytest.fixture(params=kit.STORES)
def squad(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Beside]:
    url = kit.url_of(request.param, tmp_path)
    made = Beside(store=url)
    clock, entropy, opened = ManualClock(), SeededEntropy("other"), None
    if request.param == "memory":
        made.other = EventLog(made.ledger.store.volume, clock, entropy, made.ledger.keyring)
    else:
        opened = open_ledger(url, clock, entropy)
        made.other = opened.store
    yield made
    made.ledger.close()
    if opened is not None:
        opened.close()


async def test_a_run_that_is_moved_while_its_end_is_committed_ends_as_the_new_version_says(
    squad: Beside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = await squad.deploy(write(tmp_path, "a.py", OLD))
    run = await squad.engine.start("flow", 0)
    await settle()
    new = await squad.deploy(write(tmp_path, "a.py", NEW), adopt=False)
    body = {"definition": new.digest, "was": old.digest, "reason": "elsewhere"}
    told = NewEvent(stream=f"run/{run}", type="run.adopted", payload=body, actor="person:ada")
    ends = slipped_in(squad, told, monkeypatch)
    await squad.engine.signal(run, "go", None, actor="person:ada")
    assert (await squad.engine.wait(run, timeout_ms=5000)).output == 2
    types = await squad.events(run)
    assert types[-2:] == ["run.adopted", "run.completed"]
    assert ends == ["run.completed", "run.completed"]  # the first came to nothing
    assert (await squad.call("runs.replay", run=run)).verdict == "compatible"


async def test_a_run_that_is_told_anything_else_then_ends_as_it_was_about_to(
    squad: Beside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await squad.deploy(write(tmp_path, "a.py", OLD))
    run = await squad.engine.start("flow", 0)
    await settle()
    body = {"name": "late", "payload": 1, "key": "k"}
    told = NewEvent(stream=f"run/{run}", type="signal.received", payload=body, actor="person:ada")
    ends = slipped_in(squad, told, monkeypatch)
    await squad.engine.signal(run, "go", None, actor="person:ada")
    assert (await squad.engine.wait(run, timeout_ms=5000)).output == 1
    types = await squad.events(run)
    assert types[-2:] == ["signal.received", "run.completed"]
    assert len(ends) == 2
