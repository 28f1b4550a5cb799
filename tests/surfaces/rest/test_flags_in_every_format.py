"""A flag is true or false in every format; what a format has besides is
refused, not taken for one of them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

WRITERS = {
    "application/json": msgspec.json.encode,
    "application/msgpack": msgspec.msgpack.encode,
    "application/yaml": msgspec.json.encode,
}


@pytest.mark.parametrize("media_type", WRITERS)
@pytest.mark.parametrize("given", [0, 1, "true", "0", 0.0])
async def test_a_number_or_a_word_is_no_flag(desk: Any, media_type: str, given: Any) -> None:
    async with desk.client() as client:
        operation = desk.gateway.operation("runs.start")
        assert any(one.name == "wait" and one.kind == "flag" for one in operation.fields)
        said = await client.post(
            "/v1/actions/runs.start",
            content=WRITERS[media_type]({"workflow": "order", "wait": given}),
            headers={"Content-Type": media_type},
        )
    assert said.status_code == 400, said.text
    assert said.json()["code"] == "action.input" and "wait" in said.json()["detail"]
