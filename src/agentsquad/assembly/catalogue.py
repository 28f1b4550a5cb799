"""The catalogue: every plugin this distribution mounts, and the agents it
ships."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentsquad.kernel.registry import Plugin


def plugins() -> tuple[Plugin, ...]:
    """Return the plugins of this distribution, lower floors first."""
    from agentsquad.insight.analytics.plugin import plugin as analytics
    from agentsquad.integrations.connectors.ai.plugin import plugin as models
    from agentsquad.integrations.formats.plugin import plugin as formats
    from agentsquad.runtime.control.plugin import plugin as control
    from agentsquad.runtime.determinism.plugin import plugin as determinism
    from agentsquad.runtime.engine.plugin import plugin as engine
    from agentsquad.runtime.ledger.plugin import plugin as ledger
    from agentsquad.runtime.policy.plugin import plugin as policy
    from agentsquad.runtime.resilience.plugin import plugin as resilience
    from agentsquad.solutions.purchase_to_pay.plugin import plugin as purchase_to_pay
    from agentsquad.trust.attestation.plugin import plugin as attestation
    from agentsquad.workforce.agents.plugin import plugin as agents

    return (
        ledger,
        policy,
        resilience,
        engine,
        control,
        determinism,
        agents,
        attestation,
        analytics,
        formats,
        models,
        purchase_to_pay,
    )


def shipped_agents() -> tuple[Mapping[str, Any], ...]:
    """Return the Agent resources that solutions bring along."""
    from agentsquad.solutions.purchase_to_pay.plugin import agents

    return agents()


def shipped_rules() -> Mapping[str, Any]:
    """Return the plain functions that answer for agents without a model."""
    from agentsquad.solutions.purchase_to_pay.plugin import rules

    return rules()
