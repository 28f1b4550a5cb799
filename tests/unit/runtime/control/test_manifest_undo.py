"""What a manifest undoes is recorded as compensated, each step by its own
key."""

from __future__ import annotations

from typing import Any

import yaml

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.errors import InvalidError
from agentsquad.kernel.registry import Plugin
from agentsquad.runtime.control.interpret import NAME
from agentsquad.runtime.control.plugin import plugin as control
from agentsquad.runtime.determinism.replay import replay
from agentsquad.testing import TestSquad

TEXT = """
graph:
  nodes:
    - id: hold
      action: seats.hold
      foreach: ${input.seats}
      with: {seat: "${item}"}
      compensate: {action: seats.free, with: {seat: "${item}"}}
    - {id: pay, dependsOn: [hold], action: seats.pay}
"""


@action("seats.hold", effect=Effect.WRITE)
async def hold(ctx, value: dict) -> dict:
    """Hold a seat."""
    return value


@action("seats.free", effect=Effect.WRITE)
async def free(ctx, value: dict) -> dict:
    """Free a seat."""
    return value


@action("seats.pay", effect=Effect.WRITE)
async def pay(ctx, value: dict) -> dict:
    """Refuse to be paid."""
    raise InvalidError("no money", code="seats.money")


async def test_each_effect_a_manifest_undoes_is_compensated_in_the_log():
    squad = TestSquad(Plugin(name="seats", actions=(hold, free, pay)), control)
    value = {"name": "seats", "spec": yaml.safe_load(TEXT), "input": {"seats": [1, 2, 3]}}
    run = await squad.engine.start(NAME, value)
    done = await squad.engine.wait(run, timeout_ms=5000)
    assert done.error["code"] == "seats.money"
    events = await squad.ledger.store.read_stream(f"run/{run}")

    def keys(kind: str, **fields: Any) -> list[str]:
        return [
            e.payload["key"]
            for e in events
            if e.type == kind and all(e.payload.get(k) == v for k, v in fields.items())
        ]

    held = keys("effect.planned", action="seats.hold")
    assert len(set(held)) == 3
    assert sorted(keys("effect.compensated")) == sorted(held)
    assert (await replay(squad.ledger.store, squad.registry, run)).verdict == "identical"
