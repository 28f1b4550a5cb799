"""What analytics offers: cost."""

from __future__ import annotations

from agentsquad.insight.analytics.actions import show
from agentsquad.kernel.registry import Plugin

plugin = Plugin(name="analytics", actions=(show,))
