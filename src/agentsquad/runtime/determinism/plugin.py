"""What determinism offers: replay and fork."""

from __future__ import annotations

from agentsquad.kernel.registry import Plugin
from agentsquad.runtime.determinism.actions import fork_run, replay_run

plugin = Plugin(name="determinism", actions=(replay_run, fork_run))
