"""Settings: everything an installation can be told, read once from the
environment.

Every setting is a field here, documented in docs/reference/settings.md; nothing
else reads the environment.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from agentsquad.kernel.actor import Actor
from agentsquad.kernel.errors import InvalidError


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """One installation."""

    home: Path
    store: str
    engine: str = "embedded"
    policy: Path | None
    user: str
    local_model: str | None = None
    debug: bool = False
    lease_ms: int = 6_000
    environment: Mapping[str, str] = {}

    @property
    def actor(self) -> Actor:
        """Who asks, when nothing else says so."""
        return Actor.parse(self.user if ":" in self.user else f"person:{self.user}")


def read(environment: Mapping[str, str] | None = None, *, home: str | None = None) -> Settings:
    """Return the settings of this process; `home` overrides SQUAD_HOME."""
    env = dict(os.environ if environment is None else environment)
    where = Path(home or env.get("SQUAD_HOME") or ".squad")
    policy = env.get("SQUAD_POLICY")
    return Settings(
        home=where,
        store=env.get("SQUAD_STORE") or f"sqlite:///{where / 'log.db'}",
        engine=env.get("SQUAD_ENGINE") or "embedded",
        policy=Path(policy)
        if policy
        else (where / "policy" if (where / "policy").is_dir() else None),
        user=env.get("SQUAD_USER") or _login(),
        local_model=env.get("SQUAD_LOCAL_MODEL"),
        debug=env.get("SQUAD_DEBUG", "") not in ("", "0", "off"),
        lease_ms=_positive(env, "SQUAD_LEASE_MS", 6_000),
        environment=env,
    )


def _positive(env: Mapping[str, str], name: str, default: int) -> int:
    text = env.get(name) or str(default)
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise InvalidError(f"{name} is {text!r}, not a number from 1", code="settings.number")
    return int(text)


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "operator"
