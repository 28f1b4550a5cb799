"""What the gateway offers: the server."""

from __future__ import annotations

from agentsquad.kernel.registry import Plugin
from agentsquad.surfaces.gateway.actions import up

_OPERATORS = """package gateway.operators

actions := {"server.up"}

local if not input.facts.surface

allow contains {"clause": "gateway.operators.local", "reason": "who starts it, owns it"} if local
"""

plugin = Plugin(name="gateway", actions=(up,), policies={"gateway/operators.rego": _OPERATORS})
