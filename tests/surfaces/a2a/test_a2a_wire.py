"""A2A at the level of messages, and whatever bytes come."""

from __future__ import annotations

import json
import os
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.surfaces.mcp.conftest import ask

from agentsquad.kernel import canonical
from agentsquad.kernel.errors import InvalidError
from agentsquad.surfaces.a2a import generations, plain_then
from agentsquad.surfaces.a2a.service import _checked
from agentsquad.surfaces.a2a.workflow import said

CASES = int(os.environ.get("FUZZ_CASES", "10000"))
EXCHANGES = max(CASES // 20, 50)  # with the whole server behind them


def rpc(method: str, params: Any = None, id: Any = 1) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id, "method": method, "params": params or {}}


def message(skill: str = "workflow:adding", **more: Any) -> dict[str, Any]:
    body = {"messageId": "m1", "role": "ROLE_USER", "parts": [{"data": {"a": 1}}], **more}
    return {"message": {**body, "metadata": {"skill": skill}}}


async def test_the_public_card_names_no_agent_and_serves_both_generations(office: Any) -> None:
    await office.hire()
    app = office.app(base="https://squad.example")
    reply = await ask(
        app, b"", {"authorization": ""}, method="GET", path="/.well-known/agent-card.json"
    )
    card = reply.json()
    assert {one["protocolVersion"] for one in card["supportedInterfaces"]} == {"1.0", "0.3"}
    assert card["url"] == "https://squad.example/a2a"
    assert "clerk" not in reply.body.decode()
    only = {"authorization": "", "a2a-version": "1.0"}
    now = await ask(app, b"", only, method="GET", path="/.well-known/agent-card.json")
    assert "preferredTransport" not in now.json()


async def test_without_a_token_nothing_is_answered(office: Any) -> None:
    app = office.app()
    reply = await ask(app, rpc("ListTasks"), {"authorization": ""}, path="/a2a")
    assert reply.status == 401
    assert "bearer" in reply.headers["www-authenticate"].lower()
    rest = await ask(app, b"", {"authorization": ""}, method="GET", path="/a2a/tasks")
    assert rest.status == 401


async def test_the_same_message_twice_is_one_task(office: Any) -> None:
    app = office.app()
    found = [
        (await ask(app, rpc("SendMessage", message()), path="/a2a")).json()["result"]["task"]["id"]
        for _ in range(2)
    ]
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("method", "params", "number"),
    [
        ("GetTask", {"id": "nothing"}, -32001),
        ("CreateTaskPushNotificationConfig", {"taskId": "x", "url": "http://x"}, -32003),
        ("SendMessage", {"message": {"messageId": "m", "role": "ROLE_USER", "parts": []}}, -32602),
        ("SendMessage", message(parts=[{}]), -32005),
        ("SendMessage", message(parts=[{"url": "http://x"}]), -32602),
        ("SendMessage", message(parts=[{"raw": "!"}]), -32602),
        ("SendMessage", message("action:nothing.there"), -32602),
        ("SendMessage", message("action:runs.start"), -32602),
        ("SendMessage", message("action:approvals.approve"), -32602),
        ("SendMessage", message(skill="agent:nobody"), -32602),
        ("SendMessage", message(taskId="nothing"), -32001),
        ("Nothing", {}, -32601),
    ],
)
async def test_errors_have_the_numbers_of_the_protocol(
    office: Any, method: str, params: Any, number: int
) -> None:
    reply = await ask(office.app(), rpc(method, params), path="/a2a")
    error = reply.json()["error"]
    assert error["code"] == number
    if number > -32100 and number != -32601:
        assert error["data"][0]["@type"].endswith("google.rpc.ErrorInfo")


async def test_an_unknown_version_is_refused(office: Any) -> None:
    reply = await ask(office.app(), rpc("ListTasks"), {"a2a-version": "7.0"}, path="/a2a")
    assert reply.json()["error"]["code"] == -32009
    rest = await ask(office.app(), b"", {"a2a-version": "7.0"}, method="GET", path="/a2a/tasks")
    assert rest.status == 400
    assert rest.json()["error"]["details"][0]["reason"] == "VERSION_NOT_SUPPORTED"


async def test_a_context_stays_with_its_tasks(office: Any) -> None:
    app = office.app()
    reply = await ask(app, rpc("SendMessage", message(contextId="talk-1")), path="/a2a")
    assert reply.json()["result"]["task"]["contextId"] == "talk-1"
    listed = await ask(app, rpc("ListTasks", {"contextId": "talk-1"}), path="/a2a")
    assert len(listed.json()["result"]["tasks"]) == 1
    other = await ask(app, rpc("ListTasks", {"contextId": "talk-2"}), path="/a2a")
    assert other.json()["result"]["tasks"] == []


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
NAMES = st.sampled_from(
    [
        "message", "parts", "text", "data", "kind", "role", "messageId", "taskId", "contextId",
        "configuration", "blocking", "historyLength", "id", "metadata", "skill", "pageSize",
        "pageToken", "status", "tenant", "file", "raw", "url", "filename",
        "taskPushNotificationConfig", "pushNotificationConfig", "authentication", "schemes",
    ]
) | st.text(max_size=6)  # fmt: skip
KNOWN = st.sampled_from(
    [
        "ROLE_USER", "user", "workflow:adding", "action:sums.add", "action:sums.report", "m1",
        "data", "text", "file", "aGk=", "https://[::1]/x", "squad://blobs/sha256:00",
    ]
)  # fmt: skip
VALUES = st.recursive(
    LEAVES | KNOWN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=6),
    max_leaves=12,
)
METHODS = st.sampled_from(
    [
        "SendMessage", "SendStreamingMessage", "GetTask", "ListTasks", "CancelTask",
        "SubscribeToTask", "GetExtendedAgentCard", "message/send", "message/stream", "tasks/get",
        "tasks/cancel", "tasks/resubscribe", "tasks/pushNotificationConfig/set", "nothing",
        "tasks/pushNotificationConfig/get", "CreateTaskPushNotificationConfig",
        "DeleteTaskPushNotificationConfig", "ListTaskPushNotificationConfigs",
    ]
)  # fmt: skip
PATHS = st.sampled_from(
    [
        "/a2a/message:send", "/a2a/v1/message:send", "/a2a/clerk/message:stream", "/a2a/tasks/x",
        "/a2a/tasks/x:cancel", "/a2a/tasks", "/a2a/tasks/x/pushNotificationConfigs",
        "/a2a/v1/tasks/x/pushNotificationConfigs", "/a2a/tasks/x/pushNotificationConfigs/y",
    ]
)  # fmt: skip


SEEDS = [
    json.dumps(one).encode()
    for one in (
        message(),
        {"request": {"message_id": "m", "role": "ROLE_USER", "content": [{"text": "x"}]}},
        {
            "message": {
                "kind": "message", "messageId": "m", "role": "user",
                "parts": [{"kind": "data", "data": {"a": 1}}, {"kind": "text", "text": "x"}],
            },
            "configuration": {"blocking": False, "historyLength": 3},
        },
    )
]  # fmt: skip
PIECES = [
    b"null", b"[]", b"{}", b"1", b'"x"', b"true", b'"parts":', b'"role":"user"', b'"kind":"file"',
    b'"file":[]', b'"data":{"data":1}', b'"content":7', b'"messageId":""', b",", b":", b"}",
]  # fmt: skip


def test_the_reader_of_parameters_gives_a_message_or_its_own_error() -> None:
    chance = random.Random(20261123)
    taken = 0
    for _ in range(CASES):
        data = bytearray(chance.choice(SEEDS))
        for _ in range(chance.randrange(1, 4)):
            place, length = chance.randrange(len(data) + 1), chance.randrange(12)
            data[place : place + length] = chance.choice(PIECES)
        try:
            params = canonical.loads(bytes(data))
            if not isinstance(params, dict):
                continue
            for now in (generations.params_now, plain_then.params_now):
                found = now("SendMessage", params)
                said(_checked(found.get("message")))
                taken += 1
        except InvalidError:
            pass
    assert taken > CASES // 100  # some are messages still


@settings(
    max_examples=EXCHANGES,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(method=METHODS, params=VALUES, version=st.sampled_from(["", "1.0", "0.3", "9"]))
def test_json_rpc_always_has_an_answer(
    method: str, params: Any, version: str, quiet_office: Any
) -> None:
    raw = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    work = ask(quiet_office.served_app, raw, {"a2a-version": version}, path="/a2a")
    reply = quiet_office.loop.run_until_complete(work)
    assert reply.status == 200, reply.body
    assert b"-32603" not in reply.body, reply.body


@settings(
    max_examples=EXCHANGES,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(path=PATHS, body=VALUES.map(json.dumps) | st.text(max_size=20), get=st.booleans())
def test_http_json_never_answers_500(path: str, body: str, get: bool, quiet_office: Any) -> None:
    raw = b"" if get else body.encode("utf-8", "replace")
    work = ask(quiet_office.served_app, raw, method="GET" if get else "POST", path=path)
    reply = quiet_office.loop.run_until_complete(work)
    assert reply.status < 500 or reply.status == 501, reply.body


PART = st.dictionaries(
    st.sampled_from(["raw", "url", "text", "data", "filename", "mediaType", "metadata"]),
    KNOWN | VALUES | st.just({"field": "source"}) | st.just({"field": 7}),
    max_size=4,
)
RECEIVERS = st.dictionaries(
    st.sampled_from(["id", "url", "token", "authentication", "taskId"]), KNOWN | VALUES
)


@settings(
    max_examples=EXCHANGES,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    skill=st.sampled_from(["workflow:keeping", "action:sums.report", "action:sums.add", "clerk"]),
    parts=st.lists(PART, min_size=1, max_size=3),
    receiver=st.none() | RECEIVERS,
    number=st.integers(),
    version=st.sampled_from(["1.0", "0.3"]),
)
def test_a_message_of_odd_parts_always_has_an_answer(
    skill: str, parts: Any, receiver: Any, number: int, version: str, quiet_office: Any
) -> None:
    params = message(skill, parts=parts, messageId=f"m{number}")
    if receiver is not None:
        name = "taskPushNotificationConfig" if version == "1.0" else "pushNotificationConfig"
        params["configuration"] = {"returnImmediately": True, name: receiver}
    raw = json.dumps(rpc("SendMessage", params)).encode()
    work = ask(quiet_office.served_app, raw, {"a2a-version": version}, path="/a2a")
    reply = quiet_office.loop.run_until_complete(work)
    assert reply.status == 200, reply.body
    assert b"-32603" not in reply.body, reply.body
