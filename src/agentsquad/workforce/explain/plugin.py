"""What explain offers: why."""

from __future__ import annotations

from agentsquad.kernel.registry import Plugin
from agentsquad.workforce.explain.actions import why

plugin = Plugin(name="explain", actions=(why,))
