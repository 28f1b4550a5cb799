"""Whether the server lives, whether it can work, and its measures."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

import msgspec

from agentsquad.kernel.errors import SquadError
from agentsquad.surfaces.gateway.http import address_of, problem
from agentsquad.surfaces.gateway.serving import LOOPBACK

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

Check = Callable[[], Awaitable[None]]
NO_STORE = {"Cache-Control": "no-store"}
EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"


def routes(
    checks: Mapping[str, Check],
    metrics: Callable[[], bytes],
    recognise: Callable[[Request], Awaitable[object]],
    *,
    relayed: bool = False,
) -> list[BaseRoute]:
    """Return `/healthz`, `/readyz` and `/metrics`.

    Health and readiness say nothing about anybody's data and ask for nobody;
    measures are given to this machine, and to those who are recognised. Where
    the server is `relayed`, whoever comes through what stands before it may
    look like this machine, so everybody is asked.
    """
    from starlette.responses import Response
    from starlette.routing import Route

    async def healthy(request: Request) -> Response:
        return Response(b'{"status":"ok"}', media_type="application/json", headers=NO_STORE)

    async def ready(request: Request) -> Response:
        found: dict[str, str] = {}
        for name, check in checks.items():
            try:
                await check()
                found[name] = "ok"
            except SquadError as error:
                found[name] = error.code
        fine = all(said == "ok" for said in found.values())
        body = {"status": "ok" if fine else "unavailable", "checks": found}
        return Response(
            msgspec.json.encode(body), 200 if fine else 503, NO_STORE, "application/json"
        )

    async def measured(request: Request) -> Response:
        if relayed or address_of(request) not in LOOPBACK:
            try:
                await recognise(request)
            except SquadError as error:
                return problem(error)
        return Response(metrics(), headers=NO_STORE, media_type=EXPOSITION)

    return [
        Route("/healthz", healthy),
        Route("/readyz", ready),
        Route("/metrics", measured),
    ]
