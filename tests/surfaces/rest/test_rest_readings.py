"""Runs, approvals, events, blobs, resources: addresses, conditions, methods."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from agentsquad.kernel.event import NewEvent
from agentsquad.surfaces.rest.contract import Options
from agentsquad.surfaces.rest.negotiation import coded, coding_for, format_for
from agentsquad.surfaces.rest.resources import merged

pytestmark = pytest.mark.slow
POOL = {"spec": {"match": ["models.generate"], "slots": 2}}


async def test_runs_are_listed_shown_started_and_cancelled(desk: Any) -> None:
    async with desk.client() as client:
        listed = (await client.get("/v1/runs?status=waiting&limit=1")).json()["items"]
        run = listed[0]["id"]
        shown = await client.get(f"/v1/runs/{run}")
        started = await client.post(
            "/v1/runs", json={"workflow": "order", "input": '{"lines": [1]}', "key": "b"}
        )
        waits = await client.post(
            "/v1/runs",
            json={"workflow": "order", "input": '{"lines": [40]}', "key": "c"},
            headers={"Prefer": "respond-async, wait=20"},
        )
        cancelled = await client.post(f"/v1/runs/{run}/cancel", json={"reason": "too dear"})
        moved = await client.get(started.headers["location"])
    assert (len(listed), shown.json()["status"]) == (1, "waiting")
    assert (started.status_code, moved.json()["status"]) == (201, "completed")
    assert (waits.status_code, waits.headers["preference-applied"]) == (202, "wait=20")
    assert (cancelled.status_code, cancelled.json()["run"]) == (200, run)


async def test_every_verb_on_a_run_has_an_address(desk: Any) -> None:
    paths = set(desk.rest.addresses)
    for operation in desk.gateway.operations():
        first, _, verb = operation.action.partition(".")
        takes = [one.name for one in operation.fields if one.required]
        if first == "runs" and "run" in takes and verb != "show":
            assert f"/v1/runs/{{run}}/{verb.replace('_', '-')}" in paths
            assert f"/v1/namespaces/{{ns}}/runs/{{run}}/{verb.replace('_', '-')}" in paths


async def test_the_inbox_is_answered(desk: Any) -> None:
    async with desk.client() as client:
        [item] = (await client.get("/v1/approvals")).json()["items"]
        said = await client.post(f"/v1/approvals/{item['id']}/approve", json={"reason": "agreed"})
        left = (await client.get("/v1/approvals")).json()["items"]
    assert (said.json()["approved"], left) == (True, [])


async def test_a_reading_is_not_sent_again_while_it_is_the_same(desk: Any) -> None:
    async with desk.client() as client:
        first = await client.get("/v1/runs")
        tag = first.headers["etag"]
        same = await client.get("/v1/runs", headers={"If-None-Match": f'"x", W/{tag}'})
        other = await client.get(
            "/v1/runs", headers={"If-None-Match": tag, "Accept": "application/yaml"}
        )
        await client.post("/v1/runs", json={"workflow": "order", "input": '{"lines": [2]}'})
        changed = await client.get("/v1/runs", headers={"If-None-Match": tag})
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
    assert (other.status_code, changed.status_code) == (200, 200)
    assert first.headers["cache-control"] == "private, no-cache"
    assert "Authorization" in first.headers["vary"]


@pytest.mark.parametrize("accept", ["application/json", "application/yaml"])
async def test_a_write_is_bound_to_what_was_read(desk: Any, accept: str) -> None:
    async with desk.client() as client:
        run = (await client.get("/v1/runs?status=waiting")).json()["items"][0]["id"]
        tag = (await client.get(f"/v1/runs/{run}", headers={"Accept": accept})).headers["etag"]
        path, body = f"/v1/runs/{run}/cancel", {"reason": "no"}
        stale = await client.post(path, json=body, headers={"If-Match": '"other.json"'})
        good = await client.post(path, json=body, headers={"If-Match": tag})
    assert (stale.status_code, good.status_code) == (412, 200)


async def test_parameters_of_an_address_are_read_as_the_fields_they_are(desk: Any) -> None:
    async with desk.client() as client:
        for query in ("limit=x", "limt=1", "status=odd", "all=maybe", "limit=1&limit=2"):
            said = await client.get(f"/v1/runs?{query}")
            assert (said.status_code, said.json()["code"]) == (400, "rest.parameter"), query
        good = await client.get("/v1/runs?limit=1&all=true")
    assert len(good.json()["items"]) == 1


async def test_methods_that_are_not_possible_say_which_are(desk: Any) -> None:
    async with desk.client() as client:
        wrong = await client.delete("/v1/runs")
        asked = await client.options("/v1/runs")
        head, got = await client.head("/v1/runs"), await client.get("/v1/runs")
        slash = await client.get("/v1/runs/?limit=1")
        nothing = await client.get("/v1/nothing/at/all")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET, HEAD, OPTIONS, POST")
    assert (asked.status_code, asked.headers["allow"]) == (204, "GET, HEAD, OPTIONS, POST")
    assert (head.content, head.headers["etag"]) == (b"", got.headers["etag"])
    assert (slash.status_code, slash.headers["location"]) == (308, "/v1/runs?limit=1")
    assert (nothing.status_code, nothing.json()["code"]) == (404, "rest.path")


async def test_answers_keep_browsers_careful(desk: Any) -> None:
    async with desk.client() as client:
        for path in ("/v1/runs", "/v1/nothing", "/openapi.json"):
            headers = (await client.get(path)).headers
            assert headers["x-content-type-options"] == "nosniff"
            assert "frame-ancestors 'none'" in headers["content-security-policy"]
            assert "access-control-allow-origin" not in headers
            assert "strict-transport-security" not in headers
        client.base_url = "https://127.0.0.1"
        assert "strict-transport-security" in (await client.get("/v1/runs")).headers


@pytest.mark.parametrize("options", [Options(cors_origins=("https://board.example",))])
async def test_other_sites_are_let_in_only_if_named(desk: Any) -> None:
    async with desk.client() as client:
        known = await client.get("/v1/runs", headers={"Origin": "https://board.example"})
        other = await client.get("/v1/runs", headers={"Origin": "https://evil.example"})
    assert known.headers["access-control-allow-origin"] == "https://board.example"
    assert "access-control-allow-credentials" not in known.headers
    assert "access-control-allow-origin" not in other.headers


async def test_long_answers_are_compressed_as_wanted(desk: Any) -> None:
    async with desk.client() as client:
        plain = await client.get("/v1/actions", headers={"Accept-Encoding": "identity"})
        for coding in ("gzip", "deflate"):
            said = await client.get("/v1/actions", headers={"Accept-Encoding": coding})
            assert said.headers["content-encoding"] == coding
            assert said.json() == plain.json()
            assert said.headers["etag"] != plain.headers["etag"]
    assert "content-encoding" not in plain.headers


def test_codings_and_formats_are_chosen_by_weight() -> None:
    assert coding_for("gzip;q=0.5, deflate", 5000) == "deflate"
    assert coding_for("gzip;q=0, *;q=0.1", 5000) == "deflate"
    assert coding_for("identity, gzip;q=0.5", 5000) == ""
    assert coding_for("gzip", 10) == ""
    assert coded(b"a" * 99, "gzip") == coded(b"a" * 99, "gzip")
    assert format_for("text/html, application/xml;q=0.9, */*;q=0.8").name == "xml"
    assert format_for("application/*;q=0.1, application/yaml").name == "yaml"
    assert format_for("*/*").name == format_for(None).name == "json"


async def test_events_come_in_pages_and_as_a_stream(desk: Any) -> None:
    async with desk.client() as client:
        page = (await client.get("/v1/events?after=2&limit=3")).json()
        one = (await client.get("/v1/events/3")).json()
        bad = await client.get("/v1/events?after=x", headers={"Accept": "text/event-stream"})
    assert [event["seq"] for event in page["items"]] == [3, 4, 5]
    assert [event["seq"] for event in one["items"]] == [3]
    assert bad.status_code == 400


async def test_a_reading_kept_in_memory_ends_with_the_next_event(desk: Any) -> None:
    async with desk.client() as client:
        first = await client.get("/v1/runs")
        before = desk.measures.calls.count("runs.list")
        again = await client.get("/v1/runs")
        assert desk.measures.calls.count("runs.list") == before
        async with desk.client("bob") as other:
            await other.get("/v1/runs")
        assert desk.measures.calls.count("runs.list") == before + 1, "each their own"
        await desk.squad.world.store.append([NewEvent(stream="x", type="x.happened", payload={})])
        for _ in range(200):
            await asyncio.sleep(0.005)
            if not desk.rest.cache._spaces["default"].entries:
                break
        await client.get("/v1/runs")
    assert desk.measures.calls.count("runs.list") == before + 2
    assert again.content == first.content


async def test_a_revoked_token_gets_nothing_from_memory(desk: Any) -> None:
    async with desk.client() as client:
        await client.get("/v1/runs")
        desk.names.gone.add("ada")
        assert (await client.get("/v1/runs")).status_code == 401


async def test_a_resource_is_made_read_changed_and_taken_away(desk: Any) -> None:
    path = "/v1/namespaces/default/pools/gpu"
    async with desk.client() as client:
        made = await client.put(path, json=POOL)
        got = await client.get("/v1/resources/Pool/gpu")
        tag = got.headers["etag"]
        patched = await client.patch(
            path,
            content=msgspec.json.encode({"metadata": {"labels": {"tier": "one"}}}),
            headers={"Content-Type": "application/merge-patch+json", "If-Match": tag},
        )
        stale = await client.put(path, json=POOL, headers={"If-Match": tag})
        taken = await client.put(path, json=POOL, headers={"If-None-Match": "*"})
        wrong = await client.put(path, json={**POOL, "kind": "Agent"})
        gone = await client.delete(path)
        missing = await client.get(path)
    assert (made.status_code, made.headers["location"]) == (201, path)
    assert got.json()["spec"] == POOL["spec"]
    assert (patched.status_code, patched.json()["metadata"]["labels"]) == (200, {"tier": "one"})
    assert (stale.status_code, taken.status_code, wrong.status_code) == (412, 412, 400)
    assert (gone.status_code, missing.status_code) == (200, 404)


def test_a_merge_patch_does_what_its_standard_says() -> None:
    cases = [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ]
    for target, patch, result in cases:
        assert merged(target, patch) == result


async def test_the_namespace_of_address_and_header_must_agree(desk: Any) -> None:
    async with desk.client() as client:
        both = await client.get("/v1/namespaces/default/runs", headers={"Squad-Namespace": "other"})
        other = await client.get("/v1/runs", headers={"Squad-Namespace": "nowhere"})
        same = await client.get("/v1/namespaces/default/runs")
    assert (both.status_code, other.status_code, same.status_code) == (400, 404, 200)
