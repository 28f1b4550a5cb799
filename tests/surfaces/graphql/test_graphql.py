"""GraphQL: what the registry offers, as fields; limits; federation; HTTP as its
specification says."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from graphql import build_schema, get_introspection_query, parse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentsquad.surfaces.graphql.contract import Asked, Limits
from agentsquad.surfaces.graphql.execution import Executor, RefusedError, Request
from agentsquad.surfaces.graphql.naming import field_name
from agentsquad.surfaces.graphql.schema import build, document

ANSWER = "application/graphql-response+json"


async def test_every_action_is_a_field_with_words(desk: Any) -> None:
    schema = build(desk.gateway, desk.squad.registry)
    for operation in desk.gateway.operations():
        effect = desk.squad.registry.action(operation.action).spec.effect.value
        root = schema.query_type if effect in ("pure", "read") else schema.mutation_type
        field = root.fields[field_name(operation.action)]
        assert operation.summary in field.description
        names = {argument.out_name for argument in field.args.values()}
        assert names == {one.name for one in operation.fields}


async def test_every_kind_is_an_entity(desk: Any) -> None:
    text = document(desk.gateway, desk.squad.registry)
    for kind in desk.gateway.kinds():
        assert f'type {kind} @key(fields: "namespace name")' in text or (
            f'type {kind}Resource @key(fields: "namespace name")' in text
        )
    plain = text.partition("\n\n")[2]
    assert build_schema("directive @key(fields: String!) on OBJECT\n" + plain)


async def test_reads_and_writes_are_called(desk: Any) -> None:
    found = await desk.ask("{ runsList { items { id status workflow } } }")
    assert found["data"]["runsList"]["items"]
    made = await desk.ask(
        "mutation ($w: String!, $i: JSON) { runsStart(workflow: $w, input: $i, wait: true) "
        "{ status run } }",
        w="order",
        i={"lines": [1, 2]},
    )
    assert made["data"]["runsStart"]["status"] in ("completed", "waiting"), made


async def test_one_key_is_one_mutation(desk: Any) -> None:
    asked = 'budgetSet(scope: "tenant:all", currency: "USD", amount: "5") { __typename }'
    query = f"mutation {{ {asked} }}"
    first, again = [await desk.ask(query, headers={"Idempotency-Key": "k-1"}) for _ in range(2)]
    assert first == again and "errors" not in first
    two = f"mutation {{ a: {asked} b: {asked} }}"
    refused = await desk.ask(two, headers={"Idempotency-Key": "k-2"})
    assert refused.get("code") == "graphql.key"


async def test_errors_keep_their_code_and_hint(desk: Any) -> None:
    found = await desk.ask('{ runsShow(run: "nosuchrun000") { id } }')
    [error] = found["errors"]
    assert error["extensions"]["code"].endswith("missing")
    assert error["extensions"]["status"] == 404
    assert error["path"] == ["runsShow"]


async def test_who_is_nobody_gets_a_problem_and_who_has_no_role_an_error(desk: Any) -> None:
    async with desk.client(None) as client:
        answer = await client.post("/graphql", json={"query": "{ __typename }"})
    assert answer.status_code == 401 and answer.json()["code"] == "identity.credential"
    found = await desk.ask("{ runsList { items { id } } }", token="eve")
    assert found["errors"][0]["extensions"]["code"] == "access.denied"


async def test_entities_are_found_by_reference_and_loaded_together(desk: Any) -> None:
    listed = await desk.ask("{ agents { items { name namespace } } }")
    names = [one["name"] for one in listed["data"]["agents"]["items"]]
    assert names
    desk.measures.calls.clear()
    found = await desk.ask(
        "query ($r: [_Any!]!) { _entities(representations: $r) "
        "{ ... on Agent { name spec labels } ... on Run { id } } }",
        r=[{"__typename": "Agent", "namespace": "default", "name": name} for name in names]
        + [{"__typename": "Run", "namespace": "default", "id": "r1"}, {"__typename": "Elsewhere"}],
    )
    assert [one and one.get("name", one.get("id")) for one in found["data"]["_entities"]] == [
        *names,
        "r1",
        None,
    ]
    assert desk.measures.calls == ["resources.get"] * len(names)  # each once for three fields


async def test_the_subgraph_says_what_it_is(desk: Any) -> None:
    found = await desk.ask("{ _service { sdl } }")
    assert found["data"]["_service"]["sdl"].startswith("extend schema @link")


async def test_introspection_works_and_can_be_switched_off(desk: Any) -> None:
    found = await desk.ask(get_introspection_query())
    assert found["data"]["__schema"]["queryType"]["name"] == "Query"
    schema = build(desk.gateway, desk.squad.registry)
    closed = Executor(schema, Limits(introspection=False))
    with pytest.raises(RefusedError, match="introspection"):
        closed.prepare(Request(query="{ __schema { types { name } } }"))


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{ agents(limit: 1000) { items { name spec labels annotations } } }", None),
        ("{ agents(limit: 100000) { items { name } } }", "graphql.cost"),
        ("{ " + " ".join(f"a{n}: agents {{ items {{ name }} }}" for n in range(60)) + " }",
         "graphql.cost"),
    ],
)  # fmt: skip
async def test_what_costs_too_much_is_refused_before_it_begins(
    desk: Any, query: str, code: str | None
) -> None:
    desk.measures.calls.clear()
    found = await desk.ask(query)
    if code is None:
        assert "errors" not in found
    else:
        assert found["errors"][0]["extensions"]["code"] == code
        assert not desk.measures.calls


async def test_nesting_has_an_end(desk: Any) -> None:
    deep = (
        "{ __schema { types { ofType: fields { type "
        + "{ ofType " * 3000
        + "{ name }"
        + " }" * 3004
    )
    found = await desk.ask(deep)
    assert found["errors"]


# --- over HTTP


@pytest.mark.parametrize(
    ("accept", "status", "media"),
    [
        (None, 200, "application/json"),
        ("*/*", 200, "application/json"),
        (ANSWER, 200, ANSWER),
        (f"application/json;q=0.5, {ANSWER}", 200, ANSWER),
        ("text/html", 406, "application/json"),
    ],
)
async def test_an_answer_has_the_form_that_was_asked_for(
    desk: Any, accept: str | None, status: int, media: str
) -> None:
    headers = {"Accept": accept} if accept else {}
    async with desk.client(**headers) as client:
        if not accept:
            client.headers.pop("accept", None)
        answer = await client.post("/graphql", json={"query": "{ __typename }"})
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith(media)


@pytest.mark.parametrize(
    ("body", "accept", "status"),
    [
        ('{"query": "{ nope }"}', ANSWER, 400),
        ('{"query": "{ nope }"}', "application/json", 200),
        ('{"query": "{"}', ANSWER, 400),
        ("{", ANSWER, 400),
        ("[]", ANSWER, 400),
        ('{"query": 7}', "application/json", 400),
        ('{"query": "{__typename}", "variables": []}', "application/json", 400),
        ('{"query": "query A {__typename} query B {__typename}"}', ANSWER, 400),
    ],
)
async def test_what_cannot_be_read_says_so(desk: Any, body: str, accept: str, status: int) -> None:
    headers = {"Content-Type": "application/json"}
    async with desk.client(**headers, Accept=accept) as client:
        answer = await client.post("/graphql", content=body)
    assert answer.status_code == status, answer.text


async def test_queries_go_by_get_and_mutations_do_not(desk: Any) -> None:
    async with desk.client() as client:
        asked = {
            "query": "query ($n: Boolean!) { a: __typename @include(if: $n) }",
            "variables": '{"n": true}',
        }
        fine = await client.get("/graphql", params=asked)
        assert fine.json() == {"data": {"a": "Query"}}
        refused = await client.get(
            "/graphql", params={"query": 'mutation { controlHalt(reason: "x") { __typename } }'}
        )
    assert refused.status_code == 405 and refused.headers["allow"] == "POST"


async def test_events_are_streamed_from_any_number_on(desk: Any) -> None:
    schema = build(desk.gateway, desk.squad.registry)
    executor = Executor(schema, Limits())
    caller = await _caller(desk)
    prepared = executor.prepare(
        Request(query='subscription { events(after: 0, types: ["run.*"]) { seq type } }')
    )
    seen = []
    async with asyncio.timeout(5):
        async for result in executor.stream(prepared, Asked(desk.gateway, caller)):
            seen.append(result["data"]["events"])
            if len(seen) == 3:
                break
    assert [one["seq"] for one in seen] == sorted(one["seq"] for one in seen)
    assert all(one["type"].startswith("run.") for one in seen)


async def _caller(desk: Any) -> Any:
    from agentsquad.trust.identity.contract import Shown
    from agentsquad.trust.threats.contract import Hit

    hit = Hit(surface="graphql", method="GET", path="/graphql")
    return await desk.gateway.enter(hit, Shown(bearer="ada"))


# --- anything at all

PIECES = st.sampled_from(
    ["{", "}", "(", ")", "query", "mutation", "subscription", "runsList", "items", "id", "...",
     "on", "Run", "fragment", "F", "@include", "if:", "$x", ":", "Long", "!", '"', "\\u0000", "1e9",
     "[", "]", "events", "after:", "-1", "__schema", "_entities", "representations:", "limit:"]
)  # fmt: skip


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(words=st.lists(PIECES, max_size=40) | st.text(max_size=60))
async def test_no_document_breaks_the_server(desk: Any, words: Any) -> None:
    text = words if isinstance(words, str) else " ".join(words)
    async with desk.client() as client:
        answer = await client.post(
            "/graphql",
            content=json.dumps({"query": text}, ensure_ascii=True),
            headers={"Content-Type": "application/json"},
        )
    assert answer.status_code < 500, (text, answer.text)


def test_the_parser_of_this_library_knows_how_many_tokens_are_enough() -> None:
    with pytest.raises(Exception, match="10000"):
        parse("{" + " a" * 20_000 + "}", max_tokens=10_000)
