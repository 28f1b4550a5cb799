"""Over TLS a notification goes to the address that was judged, and only to one
that shows a certificate of the name that was asked for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agentsquad.surfaces.a2a.adapters.webhooks import HttpWebhooks
from agentsquad.surfaces.a2a.reachable import allowed
from agentsquad.surfaces.gateway.plugin import own_certificate

SEEN: list[str] = []


async def take(request: Request) -> Response:
    SEEN.append(request.headers["host"])
    return Response(status_code=204)


@asynccontextmanager
async def listening(folder: Path, name: str) -> AsyncIterator[tuple[int, str]]:
    """Serve with a certificate for a name; return port and authority."""
    chain, key, root = own_certificate(folder, [name], int(time.time() * 1000))
    app = Starlette(routes=[Route("/hook", take, methods=["POST"])])
    config = uvicorn.Config(
        app, port=0, log_level="critical", ws="none", ssl_certfile=str(chain), ssl_keyfile=str(key)
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.005)
    [socket] = server.servers[0].sockets
    try:
        yield socket.getsockname()[1], str(root)
    finally:
        server.should_exit = server.force_exit = True
        await serving


@pytest.mark.parametrize(("name", "taken"), [("localhost", True), ("other.example", False)])
async def test_the_certificate_must_be_of_the_name(tmp_path: Path, name: str, taken: bool) -> None:
    SEEN.clear()
    async with listening(tmp_path, name) as (port, root):
        hooks = HttpWebhooks(True, allowed("localhost"), root)
        receipt = await hooks.post(f"https://localhost:{port}/hook", b"{}", {})
        assert receipt.taken is taken
        expected = [f"localhost:{port}"] if taken else []
        assert expected == SEEN
        if not taken:
            assert "certificate" in receipt.why.lower()


async def test_an_authority_that_nobody_named_is_not_trusted(tmp_path: Path) -> None:
    async with listening(tmp_path, "localhost") as (port, _):
        hooks = HttpWebhooks(True, allowed("localhost"))
        receipt = await hooks.post(f"https://localhost:{port}/hook", b"{}", {})
        assert not receipt.taken
        assert not receipt.refused  # tried again: certificates are mended
