"""What the gateway offers: the server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentsquad.kernel.ports import Clock
from agentsquad.kernel.registry import Plugin
from agentsquad.surfaces.gateway.actions import up
from agentsquad.surfaces.gateway.files import Inputs

if TYPE_CHECKING:
    from agentsquad.surfaces.gateway.adapters.measures import ServerMeasures
    from agentsquad.surfaces.gateway.files import Scratch

INPUTS = "files/received"  # below what calls from afar may open
_OPERATORS = """package gateway.operators

actions := {"server.up"}

local if not input.facts.surface

allow contains {"clause": "gateway.operators.local", "reason": "who starts it, owns it"} if local
"""


def kept_inputs(settings: Any) -> Inputs:
    """Return where files are kept that runs read, beside the namespace's
    log."""
    from agentsquad.surfaces.gateway.adapters.inputs import InputFolder

    return InputFolder(settings.home / INPUTS)


plugin = Plugin(
    name="gateway",
    ports={Inputs: kept_inputs},
    actions=(up,),
    policies={"gateway/operators.rego": _OPERATORS},
)


def web(host: str, port: int, tls: tuple[Path, Path] | None) -> Any:
    """Return an HTTP server that has its address already."""
    from agentsquad.surfaces.gateway.adapters.web import Web

    return Web(host, port, tls)


def application(routes: list[Any]) -> Any:
    """Return one ASGI application of the routes of every surface."""
    from agentsquad.surfaces.gateway.adapters.web import application

    return application(routes)


def own_certificate(folder: Path, names: list[str], now_ms: int) -> tuple[Path, Path, Path]:
    """Return (chain, key, authority) of this installation's own authority."""
    from agentsquad.surfaces.gateway.adapters import authority

    return authority.own_certificate(folder, names, now_ms)


def measures(clock: Clock, form: str, otlp: str | None) -> ServerMeasures:
    """Return the measures of a server; `otlp` is a collector's address."""
    from agentsquad.surfaces.gateway.adapters.measures import ServerMeasures

    if not otlp:
        return ServerMeasures(clock, form)
    from agentsquad.surfaces.gateway.adapters.tracing import Tracer

    return ServerMeasures(clock, form, Tracer(clock, otlp))


def scratch() -> Scratch:
    """Return a folder for the files of one call."""
    from agentsquad.surfaces.gateway.adapters.scratch import ScratchFolder

    return ScratchFolder()
