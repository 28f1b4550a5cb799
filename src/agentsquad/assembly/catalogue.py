"""The catalogue: every plugin this distribution mounts, and the agents it
ships.

`index.json` beside it says what those plugins offer, so that help and
completion need none of them. `tools/command_index.py` writes it, a test
compares it with the plugins, and the command line does so for each command it
carries out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentsquad.kernel.registry import Plugin
    from agentsquad.surfaces.gateway.operation import Operation

INDEX = Path(__file__).with_name("index.json")


def plugins() -> tuple[Plugin, ...]:
    """Return the plugins of this distribution, lower floors first."""
    from agentsquad.insight.analytics.plugin import plugin as analytics
    from agentsquad.insight.drift.plugin import plugin as drift
    from agentsquad.integrations.connectors.ai.plugin import plugin as models
    from agentsquad.integrations.connectors.tools.plugin import plugin as tools
    from agentsquad.integrations.formats.plugin import plugin as formats
    from agentsquad.integrations.proxy.plugin import plugin as proxy
    from agentsquad.operations.chaos.plugin import plugin as chaos
    from agentsquad.operations.consistency.plugin import plugin as consistency
    from agentsquad.operations.deployment.plugin import plugin as deployment
    from agentsquad.operations.trials.plugin import plugin as trials
    from agentsquad.runtime.control.net.plugin import plugin as net
    from agentsquad.runtime.control.plugin import plugin as control
    from agentsquad.runtime.determinism.plugin import plugin as determinism
    from agentsquad.runtime.engine.plugin import plugin as engine
    from agentsquad.runtime.ledger.plugin import plugin as ledger
    from agentsquad.runtime.policy.plugin import plugin as policy
    from agentsquad.runtime.resilience.plugin import plugin as resilience
    from agentsquad.runtime.temporal.plugin import plugin as temporal
    from agentsquad.runtime.transactions.plugin import plugin as transactions
    from agentsquad.solutions.purchase_to_pay.plugin import plugin as purchase_to_pay
    from agentsquad.surfaces.a2a.plugin import plugin as a2a
    from agentsquad.surfaces.gateway.plugin import plugin as gateway
    from agentsquad.surfaces.mcp.plugin import plugin as mcp
    from agentsquad.surfaces.rest.plugin import plugin as rest
    from agentsquad.trust.access.plugin import plugin as access
    from agentsquad.trust.attestation.plugin import plugin as attestation
    from agentsquad.trust.identity.plugin import plugin as identity
    from agentsquad.trust.threats.plugin import plugin as threats
    from agentsquad.workforce.agents.plugin import plugin as agents
    from agentsquad.workforce.explain.plugin import plugin as explain

    return (
        ledger,
        policy,
        resilience,
        engine,
        control,
        net,
        determinism,
        transactions,
        temporal,
        agents,
        explain,
        access,
        attestation,
        threats,
        identity,
        analytics,
        drift,
        formats,
        models,
        tools,
        proxy,
        chaos,
        consistency,
        deployment,
        trials,
        purchase_to_pay,
        gateway,
        rest,
        mcp,
        a2a,
    )


def index() -> Sequence[Operation]:
    """Return what the plugins offer, without loading them."""
    from agentsquad.surfaces.gateway.operation import load

    return load(INDEX.read_bytes())


def shipped_agents() -> tuple[Mapping[str, Any], ...]:
    """Return the Agent resources that solutions bring along."""
    from agentsquad.solutions.purchase_to_pay.plugin import agents

    return agents()


def shipped_rules() -> Mapping[str, Any]:
    """Return the plain functions that answer for agents without a model."""
    from agentsquad.solutions.purchase_to_pay.plugin import rules

    return rules()
