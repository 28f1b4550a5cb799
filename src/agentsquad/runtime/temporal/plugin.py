"""What running on Temporal offers: the engine, the worker and its command."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec

from agentsquad.kernel.registry import Plugin
from agentsquad.runtime.engine.contract import Engine
from agentsquad.runtime.engine.door import World
from agentsquad.runtime.temporal import actions
from agentsquad.runtime.temporal.address import EXAMPLE, SCHEME, credentials, parse
from agentsquad.runtime.temporal.contract import (
    AddressError,
    NoTemporalError,
    RunWorker,
    TemporalExtraError,
)

EMBEDDED = "embedded"

_POLICY = """package temporal.worker

actions := {"worker.serve"}

allow contains {"clause": "temporal.worker.person", "reason": "a person starts a worker"} if {
	startswith(input.actor, "person:")
}

allow contains {"clause": "temporal.worker.service", "reason": "a service manager starts it"} if {
	startswith(input.actor, "service:")
}
"""


def embedded(engine: str) -> bool:
    """Whether runs are driven in the process that starts them; AddressError
    when the setting names no engine at all."""
    if engine == EMBEDDED:
        return True
    if engine.startswith(SCHEME):
        return False
    raise AddressError(f"SQUAD_ENGINE {engine!r} names no engine", hint=f"{EMBEDDED}, or {EXAMPLE}")


def open_engine(world: World, engine: str, variables: Mapping[str, str] | None = None) -> Engine:
    """Return the engine of a Temporal address, with the credentials that the
    environment's variables name; nothing is connected yet."""
    address, known = parse(engine), credentials(variables or {})
    _need_extra()
    from agentsquad.runtime.temporal.adapters.engine import TemporalEngine

    return TemporalEngine(world, address, known)


def open_worker(world: World, engine: str, variables: Mapping[str, str] | None = None) -> RunWorker:
    """Return a worker for a Temporal address; nothing is connected yet."""
    if embedded(engine):
        raise NoTemporalError(
            "runs are driven by the process that starts them; a worker has nothing to serve",
            hint=f"set SQUAD_ENGINE, e.g. {EXAMPLE}",
        )
    address, known = parse(engine), credentials(variables or {})
    _need_extra()
    from agentsquad.runtime.temporal.adapters.worker import TemporalWorker

    return TemporalWorker(world, address, known)


def _need_extra() -> None:
    if find_spec("temporalio") is None:
        raise TemporalExtraError(
            "install 'agentsquad[temporal]'", hint="pip install 'agentsquad[temporal]'"
        )


plugin = Plugin(
    name="temporal", actions=(actions.serve,), policies={"temporal/worker.rego": _POLICY}
)
