"""The example of an input: a few shipped orders to rehearse with.

Among them an order over the limit that two people must approve, one with more
delivered than ordered, and a changed bank account.
"""

from __future__ import annotations

from typing import Any

import msgspec

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.context import Context
from agentsquad.solutions.purchase_to_pay.contract import FixtureFolder


class ExampleInput(msgspec.Struct):
    """Nothing to say."""


@action("p2p.example", effect=Effect.READ, cli=())
def example(ctx: Context, value: ExampleInput) -> dict[str, Any]:
    """Return the input of a rehearsal: the folder of a few shipped orders."""
    return {"folder": ctx.port(FixtureFolder).few()}  # type: ignore[type-abstract]
