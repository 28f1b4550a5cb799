"""The hub over every store that several may open: a follower hears what this
one and the other append, in the order of the log."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from agentsquad.runtime.engine.plugin import system_clock
from agentsquad.runtime.ledger.plugin import open_ledger
from agentsquad.surfaces.gateway.contract import Following
from agentsquad.surfaces.gateway.hub import Hub


def load(name: str) -> ModuleType:
    if name not in sys.modules:
        path = Path(__file__).with_name(f"{name}.py")
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec and spec.loader
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


kit = load("ledger_kit")


@pytest.mark.slow
@pytest.mark.parametrize("kind", kit.KEPT)
async def test_what_either_of_two_appends_is_heard_once_and_in_order(
    kind: str, tmp_path: Path
) -> None:
    url = kit.url_of(kind, tmp_path)
    ours = open_ledger(url, system_clock(), kit.SeededEntropy("ours"))
    theirs = open_ledger(url, system_clock(), kit.SeededEntropy("theirs"))
    hub = Hub(ours.store, queue_max=4, page=16)
    everything = hub.follow(Following())
    some = hub.follow(Following(streams=("run:1",), types=("step.*",)))
    try:
        for number in range(60):
            ledger = (ours, theirs)[number % 3 == 0]
            await ledger.store.append([kit.event(f"run:{number % 2}", n=number)])
        async with asyncio.timeout(20):
            first = [(await anext(everything)).seq for _ in range(60)]
            await theirs.store.append([kit.event("run:1", n=60)])  # while both follow
            await ours.store.append([kit.event("run:0", n=61)])
            rest = [(await anext(everything)).seq for _ in range(2)]
            heard = [(await anext(some)).payload["n"] for _ in range(31)]
        assert first + rest == list(range(1, 63))
        assert heard == [n for n in range(61) if n % 2] + [60]
    finally:
        await everything.aclose()
        await some.aclose()
        await hub.close()
        theirs.close()
        ours.close()
