"""What protects the server is declared once for the installation: elsewhere it
would be kept and never looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

KINDS = {
    "ratelimits": {"limit": 60, "per": "1m", "by": ["actor"]},
    "protections": {"suspicion": {"challenge": 60, "refuse": 300}},
}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_protection_outside_of_system_is_refused_over_rest(desk: Any, kind: str) -> None:
    async with desk.client() as client:
        for namespace, status in (("default", 400), ("system", 201)):
            said = await client.put(
                f"/v1/namespaces/{namespace}/{kind}/mine", json={"spec": KINDS[kind]}
            )
            assert said.status_code == status, said.text
            if status == 400:
                assert said.json()["code"] == "resource.realm"
                assert "--namespace system" in said.json()["hint"]


def test_apply_says_where_a_rate_limit_belongs(squad: Any, tmp_path: Path) -> None:
    file = tmp_path / "limits.yaml"
    file.write_text(
        "apiVersion: agentsquad.dev/v1\nkind: RateLimit\nmetadata: {name: starts}\n"
        "spec: {limit: 60, per: 1m, by: [actor]}\n"
    )
    refused = squad("apply", "-f", str(file), "-o", "json")
    assert (refused.code, refused.json()["error"]["code"]) == (2, "resource.realm")
    assert squad("apply", "-f", str(file), "--namespace", "system").code == 0
    assert "starts" in squad("get", "ratelimits", "--namespace", "system").out
