"""What agents offer: the turn, the model call and the kinds of resources they
are made of."""

from __future__ import annotations

from agentsquad.kernel.registry import Plugin
from agentsquad.workforce.agents.actions import brief, generate
from agentsquad.workforce.agents.kinds import KINDS
from agentsquad.workforce.agents.turn import agent_turn

plugin = Plugin(name="agents", actions=(brief, generate), kinds=KINDS, workflows=(agent_turn,))
