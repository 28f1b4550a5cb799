"""Writes the log of one version: `python recording.py HOME`, under that
version's code.

Uses only what every version offers, so that one text records all of them.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import zoo

from agentsquad.assembly.catalogue import plugins
from agentsquad.assembly.settings import read
from agentsquad.assembly.squad import Squad
from agentsquad.kernel.registry import Registry
from agentsquad.runtime.control.manifests import StoredManifests
from agentsquad.runtime.engine.contract import Engine

MANIFEST = """
apiVersion: agentsquad.dev/v1
kind: AgentWorkflow
metadata: {name: zoo-manifest}
spec:
  graph:
    nodes:
      - id: double
        action: zoo.double
        foreach: ${input.numbers}
        with: {n: "${item}"}
        limit: 2
      - id: pick
        dependsOn: [double]
        branch:
          - when: ${nodes.double[0].n > 100}
            nodes: [{id: big, action: zoo.look, with: {n: 1000}}]
          - nodes: [{id: small, action: zoo.look, with: {n: 5}}]
      - id: held
        dependsOn: [pick]
        action: zoo.book
        with: {n: 7}
        compensate: {action: zoo.unbook, with: {output: "${nodes.held.n}"}}
      - {id: pause, dependsOn: [held], sleep: 5ms}
  result:
    doubled: ${nodes.double}
    small: ${nodes.small.n}
"""
LINE = {"number": "1", "description": "HOT CUP 12 OZ", "quantity": "10", "unit": "EA", "price": "2"}
LINES = {"invoice_lines": [LINE], "order_lines": [LINE]}


async def record(home: Path, flagship: bool) -> dict[str, str]:
    """Write the log; return run -> name."""
    environment = {"SQUAD_HOME": str(home), "SQUAD_USER": "ada", "SQUAD_MODELS": "off"}
    squad = Squad(read(environment), Registry([*plugins(), zoo.plugin]))
    engine: Any = squad.ports.get(Engine)
    done: dict[str, str] = {}

    async def start(name: str, workflow: str, value: Any) -> str:
        run = await engine.start(workflow, value, actor="person:ada")
        done[run] = name
        return run

    async def through(name: str, workflow: str, value: Any) -> None:
        await engine.wait(await start(name, workflow, value), timeout_ms=20_000)

    await through("flow", "zoo-flow", {"numbers": [1, 2, 3, 4]})
    for name, approve in (("approved", True), ("refused", False)):
        run = await start(name, "zoo-people", {"n": 50})
        item = await asked(engine, run)
        await engine.answer(item.id, approve=approve, approver="person:bo", reason="as I see it")
        await engine.wait(run, timeout_ms=20_000)
    await through("denied", "zoo-denied", {})
    waiting = await start("waits", "zoo-waits", {})
    await engine.signal(waiting, "go", {"n": 1}, actor="person:bo")
    await engine.wait(waiting, timeout_ms=20_000)
    await through("saga", "zoo-saga", {"book": [1, 2]})
    await through("saga-undone", "zoo-saga", {"book": [1, 2, 13]})
    cancelled = await start("cancelled", "zoo-saga", {"book": [4, 5], "wait": True})
    while not any(e.type == "signal.waiting" for e in await events(squad, cancelled)):  # noqa: ASYNC110 - nothing tells of it
        await asyncio.sleep(0.01)
    await engine.cancel(cancelled, actor="person:bo", reason="not needed any more")
    await engine.wait(cancelled, timeout_ms=20_000)
    await through("personal", "zoo-personal", {"name": "DANA WHITFIELD"})
    await through("agent", "zoo-agent", LINES)
    manifest = home.parent / "manifest.yaml"
    manifest.write_text(MANIFEST)
    await squad.invoke("resources.apply", {"file": [str(manifest)]})
    wrapped = await StoredManifests(squad.world.store).wrap("zoo-manifest", {"numbers": [1, 2]})
    assert wrapped is not None
    await through("manifest", *wrapped)
    open_ = await start("open", "zoo-people", {"n": 70})
    await asked(engine, open_)
    if flagship:
        found = await squad.invoke("demo.run", {"auto": True})
        done[found.run] = "flagship"
    await squad.close()
    return done


async def asked(engine: Any, run: str) -> Any:
    """Return the question a run asks."""
    while not (waiting := await engine.inbox(run)):  # noqa: ASYNC110 - nothing tells of it
        await asyncio.sleep(0.01)
    return waiting[0]


async def events(squad: Any, run: str) -> list[Any]:
    """Return a run's events."""
    return await squad.world.store.read_stream(f"run/{run}")


if __name__ == "__main__":
    print(json.dumps(asyncio.run(record(Path(sys.argv[1]), "--flagship" in sys.argv))))
