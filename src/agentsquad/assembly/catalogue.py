"""The catalogue: every plugin this distribution mounts, in order."""

from __future__ import annotations

from agentsquad.kernel.registry import Plugin


def plugins() -> tuple[Plugin, ...]:
    """Return the plugins of this distribution."""
    from agentsquad.insight.analytics.plugin import plugin as analytics
    from agentsquad.runtime.control.plugin import plugin as control
    from agentsquad.runtime.determinism.plugin import plugin as determinism
    from agentsquad.runtime.engine.plugin import plugin as engine
    from agentsquad.runtime.policy.plugin import plugin as policy
    from agentsquad.workforce.agents.plugin import plugin as agents

    return (policy, engine, control, determinism, control, agents, analytics)
