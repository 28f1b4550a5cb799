"""The server of tests/surfaces/rest, with GraphQL on it instead."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette

from agentsquad.surfaces.graphql.contract import Limits
from agentsquad.surfaces.graphql.routes import routes

SPEC = importlib.util.spec_from_file_location(
    "squad_rest_conftest", Path(__file__).parent.parent / "rest" / "conftest.py"
)
assert SPEC and SPEC.loader
serving = sys.modules.setdefault(SPEC.name, importlib.util.module_from_spec(SPEC))
SPEC.loader.exec_module(serving)


class GraphDesk(serving.Desk):  # type: ignore[name-defined, misc]
    """One server in this process."""

    def __init__(self, squad: Any, limits: Limits) -> None:
        super().__init__(squad)
        self.app = Starlette(routes=routes(self.gateway, squad.registry, limits))

    async def ask(
        self, query: str, *, token: str = "ada", headers: Any = None, **variables: Any
    ) -> Any:
        """Send a document and return what came."""
        async with self.client(token, **(headers or {})) as client:
            body = {"query": query, "variables": variables}
            return (await client.post("/graphql", json=body)).json()


@pytest.fixture
def limits() -> Limits:
    return Limits()


@pytest.fixture
async def desk(shop: Any, seeded: Path, tmp_path: Path, limits: Limits) -> AsyncIterator[GraphDesk]:
    """A server on a copy of the seeded store."""
    home = tmp_path / ".squad"
    shutil.copytree(seeded, home)
    found = GraphDesk(shop.open(str(home)), limits)
    yield found
    await found.close()
