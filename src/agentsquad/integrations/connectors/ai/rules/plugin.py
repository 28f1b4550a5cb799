"""Plugin: how plain functions become a Model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentsquad.integrations.connectors.ai.rules.rules import RulesModel
from agentsquad.workforce.agents.contract import Model


def build(rules: Mapping[str, Any], provider: str = "rules") -> Model:
    """Return a Model whose answers are those of the rule that a request
    names.
    """
    return RulesModel(rules, provider=provider)
