"""Every action there is, by REST: callable, described, documented."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.surfaces import every_surface as walk

from agentsquad.kernel.errors import restore
from agentsquad.surfaces.gateway.contract import Caller

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[3]


class RestWay:
    """Over HTTP."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def call(self, action: str, value: Mapping[str, Any], key: str | None) -> Any:
        headers = {"Idempotency-Key": key} if key else {}
        said = await self._client.post(f"/v1/actions/{action}", json=value, headers=headers)
        body = said.json()
        if said.status_code >= 300:
            assert body["status"] == said.status_code
            raise restore({**body, "message": body["detail"]})
        if said.headers.get("squad-files") == "1":
            assert all(base64.b64decode(one["base64"]) for one in body["files"])
            return body["output"]
        return body


@pytest.fixture
async def direct(shop: Any, seeded: Path, tmp_path: Path, make_desk: Any) -> list[Any]:
    """What the gateway itself answers, on a copy of its own."""
    desk = await make_desk(tmp_path / "direct")
    principal = await desk.names.recognise(_shown("ada"))
    caller = Caller(principal=principal, surface="rest")
    way = walk.Direct(desk.gateway, caller)
    return await walk.walk(way, desk.gateway.operations(), await walk.runs_of(desk))


def _shown(name: str) -> Any:
    from agentsquad.trust.identity.contract import Shown

    return Shown(bearer=name)


async def test_every_action_is_called_by_rest_with_the_outcome_it_has(
    make_desk: Any, tmp_path: Path, direct: list[Any]
) -> None:
    desk = await make_desk(tmp_path / "rest")
    async with desk.client() as client:
        client.timeout = httpx.Timeout(60)
        found = await walk.walk(
            RestWay(client), desk.gateway.operations(), await walk.runs_of(desk)
        )
    assert [one.action for one in found] == [one.action for one in direct]
    assert [one for one in found if one.error.startswith("rest.")] == []
    assert not walk.differences(found, direct), "\n".join(walk.differences(found, direct))
    assert walk.told_otherwise(direct) == []
    broken = [one.action for one in found if one.error in ("action.exception", "bug")]
    assert broken == ["shop.crash"], "which breaks on purpose"
    done = [one for one in found if not one.error]
    assert len(done) >= len(found) // 2, "examples that do nothing show nothing"


async def test_every_action_is_described_and_documented(desk: Any) -> None:
    pages = (ROOT / "docs" / "reference" / "actions.md").read_text()
    async with desk.client() as client:
        paths = (await client.get("/openapi.json")).json()["paths"]
    missing = []
    for operation in desk.gateway.operations():
        name = operation.action
        told = paths.get(f"/v1/actions/{name}", {}).get("post", {})
        content = told.get("requestBody", {}).get("content", {}).get("application/json", {})
        if "example" not in content or "schema" not in content or not told.get("summary"):
            missing.append(f"{name} in /openapi.json")
        if not name.startswith("shop.") and f"`{name}`" not in pages:
            missing.append(f"{name} in docs/reference/actions.md")
    assert missing == []
