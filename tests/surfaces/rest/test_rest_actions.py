"""Actions over HTTP: called, described, refused, called once."""

from __future__ import annotations

import asyncio
import base64
import zipfile
from io import BytesIO
from typing import Any

import httpx
import msgspec
import pytest

from agentsquad.surfaces.rest import formats, xml

pytestmark = pytest.mark.slow


async def test_an_action_is_called_with_its_input_as_body(desk: Any) -> None:
    async with desk.client() as client:
        said = await client.post("/v1/actions/shop.work", json={"n": 3})
    assert (said.status_code, said.json()) == (200, {"n": 3})
    assert said.headers["cache-control"] == "no-store"


async def test_a_failure_is_a_problem_from_the_one_table(desk: Any) -> None:
    async with desk.client() as client:
        said = await client.post("/v1/actions/runs.show", json={"run": "nothing"})
        unknown = await client.post("/v1/actions/runs.shw", json={})
        wrong = await client.post("/v1/actions/shop.work", json={"n": "three"})
    assert said.headers["content-type"] == "application/problem+json"
    body = said.json()
    assert (said.status_code, body["status"], body["code"]) == (404, 404, "run.missing")
    assert body["type"].endswith("/run.missing") and body["detail"]
    assert unknown.status_code == 404 and "runs.show" in unknown.json()["hint"]
    assert (wrong.status_code, wrong.json()["code"]) == (400, "action.input")


async def test_a_bug_says_nothing_of_what_it_was(desk: Any) -> None:
    async with desk.client() as client:
        said = await client.post("/v1/actions/shop.crash", json={"n": 3})
    assert said.status_code == 500
    assert "ZeroDivision" not in said.json()["title"]
    assert "Traceback" not in said.text


async def test_what_is_only_local_is_refused_with_the_reason(desk: Any) -> None:
    async with desk.client() as client:
        said = await client.post("/v1/actions/server.up", json={})
    assert (said.status_code, said.json()["code"]) == (501, "gateway.local")


async def test_nobody_and_somebody_without_a_role_are_kept_out(desk: Any) -> None:
    async with desk.client(None) as client:
        nobody = await client.post("/v1/actions/shop.work", json={"n": 1})
    async with desk.client("eve") as client:
        eve = await client.get("/v1/runs")
        listed = await client.get("/v1/events", headers={"Accept": "text/event-stream"})
    assert nobody.status_code == 401
    assert nobody.headers["www-authenticate"].startswith("Bearer")
    assert (eve.status_code, listed.status_code) == (403, 403)


async def test_an_action_is_described_by_its_schemas_and_an_example(desk: Any) -> None:
    async with desk.client() as client:
        listed = (await client.get("/v1/actions")).json()["items"]
        said = (await client.get("/v1/actions/runs.start")).json()
    assert {one["name"] for one in listed} == {op.action for op in desk.gateway.operations()}
    assert said["example"]["workflow"]
    assert set(said["input"]["properties"]) >= {"workflow", "input", "wait"}
    assert "status" in said["output"]["properties"]


async def test_the_same_key_is_one_call_and_another_call_is_refused(desk: Any) -> None:
    body = {"workflow": "order", "input": '{"lines": [1]}', "key": "a"}
    key = {"Idempotency-Key": '"8e03978e"'}
    async with desk.client() as client:
        first = await client.post("/v1/actions/runs.start", json=body, headers=key)
        again = await client.post("/v1/actions/runs.start", json=body, headers=key)
        bare = await client.post(
            "/v1/actions/runs.start", json=body, headers={"Idempotency-Key": "8e03978e"}
        )
        other = await client.post(
            "/v1/actions/runs.start", json={**body, "wait": False}, headers=key
        )
        bad = await client.post(
            "/v1/actions/runs.start", json=body, headers={"Idempotency-Key": "a" * 256}
        )
    assert first.json() == again.json() == bare.json()
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert (other.status_code, other.json()["code"]) == (422, "gateway.key_reused")
    assert other.json()["status"] == 422
    assert bad.status_code == 400


async def test_input_and_output_are_spoken_in_four_formats(desk: Any) -> None:
    async with desk.client() as client:
        for one in formats.FORMATS:
            media_type = one.media_types[0]
            said = await client.post(
                "/v1/actions/shop.work",
                content=one.write({"n": 7}),
                headers={"Content-Type": media_type, "Accept": media_type},
            )
            assert said.status_code == 200, said.text
            assert said.headers["content-type"] == one.content_type
            assert ("charset=utf-8" in one.content_type) is media_type.endswith("/xml")
            assert one.read(said.content, 9) == {"n": 7}


async def test_formats_nobody_speaks_are_refused_before_anything_is_done(desk: Any) -> None:
    async with desk.client() as client:
        taken = await client.post(
            "/v1/actions/shop.work", content=b"n=1", headers={"Content-Type": "text/csv"}
        )
        given = await client.post(
            "/v1/actions/shop.work", json={"n": 1}, headers={"Accept": "image/png"}
        )
    assert (taken.status_code, given.status_code) == (415, 406)
    assert "shop.work" not in desk.measures.calls


async def test_a_body_that_is_not_what_it_says_is_refused(desk: Any) -> None:
    bodies = {
        "application/json": (
            b"{",
            b'{"n": 1, "n": 2}',
            b'{"n": NaN}',
            b"[1]",
            b"null",
            b"\xff",
            b"[" * 9999,
        ),
        "application/yaml": (b"n: [", b"n: 1\nn: 2", b"a: &x [1]\nb: *y", b"- 1", b"\xff"),
        "application/msgpack": (b"\xc1", b"\x81\xa1n", b"\x81\x01\x01", b"\x81\xa1n\xc4\x01a"),
        "application/xml": (
            b"<map",
            b'<!DOCTYPE m [<!ENTITY e "x">]><map>&e;</map>',
            b"<map><string>x</string></map>",
            b'<map><number key="n">0x1</number></map>',
            b"<array/>",
        ),
    }
    async with desk.client() as client:
        for media_type, given in bodies.items():
            for body in given:
                said = await client.post(
                    "/v1/actions/shop.work", content=body, headers={"Content-Type": media_type}
                )
                assert (said.status_code, said.json()["code"]) == (400, "rest.body"), body[:40]


async def test_deep_and_long_bodies_are_refused(desk: Any) -> None:
    deep = b'{"a":' * 70 + b"1" + b"}" * 70
    async with desk.client() as client:
        nested = await client.post("/v1/actions/shop.work", content=deep)
        long = await client.post("/v1/actions/shop.work", content=b" " * (8 * 1024 * 1024 + 1))
    assert (nested.status_code, long.status_code) == (400, 413)


async def test_files_come_back_with_the_answer(desk: Any) -> None:
    async with desk.client() as client:
        runs = (await client.get("/v1/runs")).json()["items"]
        paid = next(one["id"] for one in runs if one["status"] == "completed")
        said = await client.post(
            "/v1/actions/attest.prove", json={"subject": paid, "out": "case.zip"}
        )
        proof = await client.get(f"/v1/proofs/{paid}")
    [file] = said.json()["files"]
    assert file["name"] == "case.zip" and "output" in said.json()
    for data in (base64.b64decode(file["base64"]), proof.content):
        assert "verify.py" in " ".join(zipfile.ZipFile(BytesIO(data)).namelist())
    assert proof.headers["content-disposition"].startswith("attachment")


async def test_content_is_sent_where_an_action_takes_a_file(desk: Any) -> None:
    async with desk.client() as client:
        said = await client.post(
            "/v1/actions/edi.check", json={"files": [{"name": "x.edi", "text": "ISA"}]}
        )
        kept = (await client.post("/v1/blobs", content=b"ISA")).json()
        again = await client.post(
            "/v1/actions/edi.check", json={"files": [{"name": "x.edi", **kept}]}
        )
        refused = await client.post("/v1/actions/edi.check", json={"files": ["/etc/hostname"]})
    assert said.json()["valid"] is False and again.json() == said.json()
    assert (refused.status_code, refused.json()["code"]) == (400, "gateway.path")


def test_every_json_value_has_one_xml_document_and_back() -> None:
    values = (
        None,
        True,
        0,
        -1.5,
        10**30,
        "",
        'a\r\n\x00\\"<&>',
        [],
        {},
        {"": [{"a\x01\n": "\ufffe"}]},
    )
    for value in values:
        assert xml.loads(xml.dumps(value)) == value
        assert msgspec.json.decode(msgspec.json.encode(value)) == value


def test_an_integer_that_messagepack_cannot_say_is_text() -> None:
    form = formats.MESSAGEPACK
    assert form.read(form.write({"a": [10**30, 2**64 - 1]}), 9) == {"a": [str(10**30), 2**64 - 1]}


async def test_a_thousand_duplicates_of_a_write_are_one_event(desk: Any) -> None:
    body = {"scope": "tenant:acme", "amount": "5.00", "currency": "USD", "period": "month"}
    path, headers = "/v1/actions/budget.set", {"Idempotency-Key": "once"}
    async with desk.client() as client:
        before = (await client.post("/v1/actions/log.stats", json={})).json()["types"]
        limits = asyncio.Semaphore(100)

        async def again() -> httpx.Response:
            async with limits:
                return await client.post(path, json=body, headers=headers)

        said = await asyncio.gather(*(again() for _ in range(1_000)))
        after = (await client.post("/v1/actions/log.stats", json={})).json()["types"]
    assert {one.status_code for one in said} == {200}
    assert len({msgspec.json.encode(one.json(), order="sorted") for one in said}) == 1
    assert sum("idempotency-replayed" in one.headers for one in said) == 999
    grown = {name: count - before.get(name, 0) for name, count in after.items()}
    assert {name: count for name, count in grown.items() if count} == {
        "budget.set": 1,
        "request.accepted": 1,
        "request.answered": 1,
    }
