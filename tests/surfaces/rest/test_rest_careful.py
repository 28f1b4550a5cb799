"""What a browser is kept from, and what a caller cannot slip in."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import agentsquad.surfaces.rest
from agentsquad.surfaces.rest import account_page, sign_in_page

STATIC = Path(agentsquad.surfaces.rest.__file__).with_name("static")
PAGE = b"<!doctype html><script>alert(document.cookie)</script>"


@pytest.mark.slow
async def test_a_blob_is_a_file_to_keep_and_never_a_page(desk: Any) -> None:
    async with desk.client() as client:
        kept = await client.post(
            "/v1/blobs", content=PAGE, headers={"Content-Type": "text/html; charset=utf-8"}
        )
        said = await client.get(kept.headers["location"], headers={"Accept": "text/html"})
        ways = [
            await client.get(f"/v1/blobs/{name}") for name in ("x.html", "..%2f..%2fetc", "%0a")
        ]
    assert said.content == PAGE
    assert said.headers["content-type"] == "application/octet-stream"
    name = re.fullmatch(r'attachment; filename="([^"]+)"', said.headers["content-disposition"])
    assert name and re.fullmatch(r"[0-9a-f]{64}", name[1])
    assert said.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in said.headers["content-security-policy"]
    assert {one.status_code for one in ways} <= {400, 404}


@pytest.mark.slow
async def test_what_an_action_does_not_take_changes_nothing_of_it(desk: Any) -> None:
    more = {"actor": "person:root", "roles": ["admin"], "namespace": "other", "id": "mine"}
    async with desk.client() as client:
        said = await client.post("/v1/actions/shop.work", json={"n": 1, **more})
        start = {"workflow": "order", "input": {"lines": [1]}, **more}
        started = await client.post("/v1/actions/runs.start", json=start)
        events = (await client.get("/v1/events?limit=1000")).json()["items"]
    assert said.json() == {"n": 1}
    assert started.json()["status"] == "completed" and started.json()["run"] != "mine"
    assert {"person:root"}.isdisjoint(one["actor"] for one in events)


@pytest.mark.parametrize("script", sorted(STATIC.glob("*.js")), ids=lambda path: path.name)
def test_scripts_write_text_and_keep_nothing(script: Path) -> None:
    text = script.read_text()
    for word in (
        "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function",
        "localStorage", "sessionStorage", "indexedDB", "document.cookie", "postMessage",
        "Object.assign", "__proto__",
    ):  # fmt: skip
        assert word not in text, word


def test_passwords_are_masked_and_may_come_from_a_password_manager() -> None:
    login = sign_in_page.password_form("/login", "")
    again = account_page.again_page("/account/app", "Why.", {})
    for page, complete in ((login, "current-password"), (again, "current-password")):
        [field] = re.findall(r"<input[^>]*password[^>]*>", page)
        assert 'type="password"' in field and f'autocomplete="{complete}"' in field
        assert "onpaste" not in page and "readonly" not in page
    assert "onpaste" not in "".join(one.read_text() for one in STATIC.glob("*.js"))
