"""Settings: everything an installation can be told, read once from the
environment.

Every setting is a field here, documented in docs/reference/settings.md; nothing
else reads the environment.
"""

from __future__ import annotations

import getpass
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from agentsquad.assembly.places import EMBEDDED, engine_of, folder_of, store_of
from agentsquad.kernel.actor import Actor
from agentsquad.kernel.errors import InvalidError
from agentsquad.trust.access.contract import DEFAULT

# What says how to run and reach models, and is nobody's secret.
SHARED = frozenset(
    ("SQUAD_MODELS", "SQUAD_MODEL", "SSL_CERT_FILE", "HTTPS_PROXY", "https_proxy", "NO_PROXY",
     "no_proxy")
)  # fmt: skip
_OWN = re.compile(r"[A-Z][A-Z0-9_]*", re.ASCII)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """One namespace of an installation; `root` are the settings of the
    namespace `default`, None where these are they."""

    home: Path
    store: str
    engine: str = "embedded"
    policy: Path | None
    user: str
    local_model: str | None = None
    debug: bool = False
    lease_ms: int = 6_000
    environment: Mapping[str, str] = {}
    namespace: str = DEFAULT
    root: Settings | None = None

    @property
    def named(self) -> Mapping[str, str]:
        """The variables that resources of this namespace may name."""
        return Named(self)

    @property
    def actor(self) -> Actor:
        """Who asks, when nothing else says so."""
        return Actor.parse(self.user if ":" in self.user else f"person:{self.user}")


def read(
    environment: Mapping[str, str] | None = None,
    *,
    home: str | None = None,
    namespace: str | None = None,
) -> Settings:
    """Return the settings of this process; `home` and `namespace` go before
    SQUAD_HOME and SQUAD_NAMESPACE."""
    env = dict(os.environ if environment is None else environment)
    where = Path(home or env.get("SQUAD_HOME") or ".squad")
    policy = env.get("SQUAD_POLICY")
    found = Settings(
        home=where,
        store=env.get("SQUAD_STORE") or f"sqlite:///{where / 'log.db'}",
        engine=engine_of(env.get("SQUAD_ENGINE") or EMBEDDED, DEFAULT),
        policy=Path(policy)
        if policy
        else (where / "policy" if (where / "policy").is_dir() else None),
        user=env.get("SQUAD_USER") or _login(),
        local_model=env.get("SQUAD_LOCAL_MODEL"),
        debug=env.get("SQUAD_DEBUG", "") not in ("", "0", "off"),
        lease_ms=_positive(env, "SQUAD_LEASE_MS", 6_000),
        environment=env,
    )
    return within(found, namespace or env.get("SQUAD_NAMESPACE") or DEFAULT)


def within(settings: Settings, namespace: str) -> Settings:
    """Return the settings of another namespace of the same installation: a
    home, a store, keys and policies of its own."""
    root = settings.root or settings
    if namespace == root.namespace:
        return root
    home = folder_of(root.home, namespace)
    own = home / "policy"
    shared = root.policy if root.policy != root.home / "policy" else None
    variables = dict(root.environment)
    if variables.get("SQUAD_KEYS"):
        variables["SQUAD_KEYS"] = store_of(variables["SQUAD_KEYS"], namespace)
    return msgspec.structs.replace(
        root,
        home=home,
        store=store_of(root.store, namespace),
        engine=engine_of(_template(root), namespace),
        policy=shared or (own if own.is_dir() else None),
        environment=variables,
        namespace=namespace,
        root=root,
    )


def variable(settings: Settings, name: str) -> str | None:
    """Return a variable of the environment as resources of a namespace may name
    it.

    Those of the process are of `default`; another namespace has
    SQUAD_IN_name_VARIABLE only, so that nobody who applies a resource there can
    send off a secret of somebody else's.
    """
    environment = settings.environment
    if settings.namespace == DEFAULT or name in SHARED or name.startswith("SQUAD_LOCAL_"):
        return environment.get(name)
    if not _OWN.fullmatch(name):  # else the name of another namespace could end in it
        return None
    return environment.get(f"SQUAD_IN_{settings.namespace.replace('-', '_')}_{name}")


class Named(Mapping[str, str]):
    """The variables that resources of a namespace may name, by those names."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def __getitem__(self, name: str) -> str:
        """Return one; KeyError where there is none of that name."""
        found = variable(self._settings, name)
        if found is None:
            raise KeyError(name)
        return found

    def __iter__(self) -> Iterator[str]:
        """Return their names."""
        settings = self._settings
        own = f"SQUAD_IN_{settings.namespace.replace('-', '_')}_"
        names = {name.removeprefix(own) for name in settings.environment}
        return iter(sorted(name for name in names if variable(settings, name) is not None))

    def __len__(self) -> int:
        """Return how many there are."""
        return len(list(iter(self)))


def _template(root: Settings) -> str:
    """Return the engine's address as it was written, with the place for the
    namespace in it, unless another engine was chosen since."""
    written = root.environment.get("SQUAD_ENGINE") or root.engine
    return written if engine_of(written, root.namespace) == root.engine else root.engine


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
