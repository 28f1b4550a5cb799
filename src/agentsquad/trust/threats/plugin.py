"""What threats offer: the shield, the kinds that govern it, and the check of
what protects an installation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agentsquad.kernel.registry import Plugin
from agentsquad.trust.threats.actions import check_protection
from agentsquad.trust.threats.check import Surroundings
from agentsquad.trust.threats.contract import (
    ExtraMissingError,
    Inspector,
    Places,
    ProtectionError,
    Screen,
    Shield,
)
from agentsquad.trust.threats.protection import KIND as PROTECTION
from agentsquad.trust.threats.ratelimit import KIND as RATE_LIMIT
from agentsquad.trust.threats.shield import SquadShield

# Looking is allowed to whoever owns the files: the action is only called there.
_OWNER = """package threats.owner

actions := {"threats.check"}

allow contains {"clause": "threats.owner.local", "reason": "the owner of the files looks"} if {
	not input.facts.surface
}
"""

EXTRA = "install 'agentsquad[protection]'"


def open_shield(settings: Any) -> SquadShield:
    """Return the shield of a server, as the environment says."""
    from agentsquad.runtime.engine.plugin import system_clock, system_entropy

    variables = settings.environment
    return SquadShield(
        system_clock(),
        system_entropy(),
        inspector=inspector(variables),
        places=places(variables),
    )


def inspector(variables: Mapping[str, str]) -> Inspector | None:
    """Return what looks for attacks, None where no rules are named."""
    folder = variables.get("SQUAD_WAF_RULES")
    if not folder:
        return None
    level = variables.get("SQUAD_WAF_PARANOIA") or "1"
    if level not in ("1", "2", "3", "4"):
        raise ProtectionError(
            f"SQUAD_WAF_PARANOIA={level!r} is no paranoia level", hint="a number from 1 to 4"
        )
    try:
        from agentsquad.trust.threats.adapters.modsecurity import CoreRules
    except ImportError as error:
        raise ExtraMissingError(f"attack rules: {EXTRA}", hint=f"pip {EXTRA}") from error
    return CoreRules(Path(folder), int(level))


def places(variables: Mapping[str, str]) -> Places | None:
    """Return what knows countries, None where no database is named."""
    file = variables.get("SQUAD_GEO")
    if not file:
        return None
    try:
        from agentsquad.trust.threats.adapters.geo import GeoFile
    except ImportError as error:
        raise ExtraMissingError(f"countries: {EXTRA}", hint=f"pip {EXTRA}") from error
    return GeoFile(Path(file))


def open_screen(settings: Any) -> Screen:
    """Return what looks at texts before a model reads them."""
    from agentsquad.trust.threats.screening import RuleScreen

    return RuleScreen(settings.environment.get("SQUAD_SCREENING") or "log")


def surroundings(settings: Any) -> Surroundings:
    """Return what lies around an installation."""
    from agentsquad.trust.threats.adapters.surroundings import HomeSurroundings

    return HomeSurroundings(settings.home, settings.environment)


plugin = Plugin(
    name="threats",
    kinds=(RATE_LIMIT, PROTECTION),
    actions=(check_protection,),
    ports={Shield: open_shield, Surroundings: surroundings, Screen: open_screen},
    policies={"threats/owner.rego": _OWNER},
)
