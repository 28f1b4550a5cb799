"""Notifications of tasks: asked for by the official client, taken by a server
of its own, checked by PyJWT with the keys that are shown."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from typing import Any

import jwt
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from tests.surfaces.a2a.test_a2a_judged import FACES, all_of, connected, plain, sent
from tests.surfaces.a2a.test_a2a_wire import message, rpc
from tests.surfaces.mcp.conftest import ask

from agentsquad.kernel.actor import Actor
from agentsquad.kernel.errors import DeniedError, InvalidError, MissingError
from agentsquad.surfaces.a2a.adapters.webhooks import HttpWebhooks
from agentsquad.surfaces.a2a.contract import PushUrlError, Vouching, Webhooks
from agentsquad.surfaces.a2a.post import Post
from agentsquad.surfaces.a2a.reachable import allowed
from agentsquad.trust.identity.office import Office

DONE = "TASK_STATE_COMPLETED"


class Receiver:
    """A client's own server: it answers as it is told, and keeps what came."""

    def __init__(self) -> None:
        self.came: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[int] = []
        self.headers: dict[str, str] = {}

    async def take(self, request: Request) -> Response:
        status = self.answers.pop(0) if self.answers else 204
        body = await request.body()
        self.came.append((dict(request.headers), body))
        return Response(status_code=status, headers=self.headers)

    @property
    def app(self) -> Starlette:
        return Starlette(routes=[Route("/hook", self.take, methods=["POST"])])

    def bodies(self) -> list[Any]:
        return [json.loads(body) for _, body in self.came]

    def states(self) -> list[str]:
        return [one.get("task", one)["status"]["state"] for one in self.bodies()]


class Clock:
    """Time that is told."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.ahead_ms = 0

    def now_ms(self) -> int:
        return int(self._inner.now_ms()) + self.ahead_ms

    def monotonic_ms(self) -> float:
        return float(self._inner.monotonic_ms()) + self.ahead_ms

    async def sleep_ms(self, duration_ms: float) -> None:
        await self._inner.sleep_ms(duration_ms)


async def still(actor: str, roles: tuple[str, ...]) -> tuple[str, ...] | None:
    return roles


class Line:
    """The office with notifications to loopback, and a post that is driven by
    hand."""

    def __init__(self, office: Any) -> None:
        self.office = office
        world = office.squad.world
        world.ports.put(Webhooks, HttpWebhooks(True, allowed("127.0.0.1")))
        self.desk = world.ports.get(Office).at(world.store, world.clock, world.entropy)
        world.ports.put(Vouching, self.desk.tokens)
        self.clock = Clock(world.clock)
        self.standing: Any = still
        self.post = self.restarted()

    @property
    def app(self) -> Any:
        return self.office.app(push=True)

    def restarted(self) -> Post:
        squad, clock = self.office.squad, self.clock

        class World:
            store, ports = squad.world.store, squad.world.ports

        World.clock = clock  # type: ignore[attr-defined]

        class Place:
            world = World
            invoke = staticmethod(squad.invoke)

        async def standing(actor: str, roles: tuple[str, ...]) -> tuple[str, ...] | None:
            found: tuple[str, ...] | None = await self.standing(actor, roles)
            return found

        self.post = Post(Place(), standing)
        return self.post

    async def deliver(self, rounds: int = 12) -> None:
        for _ in range(rounds):
            await self.post.look()
            await self.post.idle()

    async def call(self, action: str, **value: Any) -> Any:
        return await self.office.squad.invoke(action, value)


@pytest.fixture
def line(office: Any) -> Line:
    return Line(office)


@pytest.fixture
async def receiver(served: Any) -> AsyncIterator[Receiver]:
    made = Receiver()
    async with served(made.app) as url:
        made.url = f"{url}/hook"  # type: ignore[attr-defined]
        yield made


async def started(app: Any, skill: str = "workflow:adding", **more: Any) -> Any:
    body = {**message(skill), "configuration": {"returnImmediately": True, **more}}
    reply = await ask(app, rpc("SendMessage", body), path="/a2a")
    return reply.json()["result"]["task"]["id"]


async def ended(app: Any, task: str) -> None:
    subscribed = rpc("SubscribeToTask", {"id": task})
    await ask(app, subscribed, path="/a2a")


def hook(receiver: Receiver, **more: Any) -> dict[str, Any]:
    return {"url": receiver.url, **more}  # type: ignore[attr-defined]


@pytest.mark.parametrize(("version", "binding"), FACES)
async def test_a_receiver_is_set_shown_listed_and_removed_by_the_official_client(
    line: Line, receiver: Receiver, served: Any, version: str, binding: str
) -> None:
    from a2a.types import (
        AuthenticationInfo,
        DeleteTaskPushNotificationConfigRequest,
        GetTaskPushNotificationConfigRequest,
        ListTaskPushNotificationConfigsRequest,
        TaskPushNotificationConfig,
    )

    async with served(line.app) as url, connected(url, version, binding) as client:
        [event] = await all_of(client.send_message(sent("workflow:asking", data={"a": 4})))
        task = event.task.id
        made = await client.create_task_push_notification_config(
            TaskPushNotificationConfig(
                task_id=task,
                id="mine",
                url=receiver.url,  # type: ignore[attr-defined]
                token="t-1",
                authentication=AuthenticationInfo(scheme="Bearer", credentials="c-1"),
            )
        )
        assert (made.task_id, made.id, made.url) == (task, "mine", receiver.url)  # type: ignore[attr-defined]
        asked = GetTaskPushNotificationConfigRequest(task_id=task, id="mine")
        found = await client.get_task_push_notification_config(asked)
        assert found.url == made.url
        assert found.authentication.scheme == "Bearer"
        assert "c-1" not in str(plain(found))  # what it was told, nobody else is
        if (version, binding) == ("0.3", "HTTP+JSON"):
            return  # its client has neither list nor delete
        listed = await client.list_task_push_notification_configs(
            ListTaskPushNotificationConfigsRequest(task_id=task)
        )
        assert [one.id for one in listed.configs] == ["mine"]
        await client.delete_task_push_notification_config(
            DeleteTaskPushNotificationConfigRequest(task_id=task, id="mine")
        )
        listed = await client.list_task_push_notification_configs(
            ListTaskPushNotificationConfigsRequest(task_id=task)
        )
        assert not listed.configs


@pytest.mark.parametrize(("version", "binding"), FACES)
async def test_states_arrive_in_order_and_as_the_generation_writes_them(
    line: Line, receiver: Receiver, served: Any, version: str, binding: str
) -> None:
    from a2a.client.card_resolver import A2ACardResolver  # noqa: F401 - the SDK is there
    from a2a.compat.v0_3.types import Task as TaskThen
    from a2a.types import SendMessageConfiguration, StreamResponse, TaskPushNotificationConfig
    from google.protobuf.json_format import ParseDict

    async with served(line.app) as url, connected(url, version, binding) as client:
        request = sent("workflow:adding", data={"a": 4})
        wanted = TaskPushNotificationConfig(url=receiver.url, token="t-1")  # type: ignore[attr-defined]
        request.configuration.CopyFrom(
            SendMessageConfiguration(task_push_notification_config=wanted)
        )
        [event] = await all_of(client.send_message(request))
        await line.deliver()
    bodies = receiver.bodies()
    if version == "1.0":
        read = [ParseDict(body, StreamResponse()).task for body in bodies]
        assert [plain(one)["status"]["state"] for one in read] == ["TASK_STATE_WORKING", DONE]
        assert plain(read[-1])["artifacts"][0]["parts"][0]["data"] == {"sum": 5}
    else:
        then = [TaskThen.model_validate(body) for body in bodies]
        assert [one.status.state.value for one in then] == ["working", "completed"]
        assert then[-1].artifacts is not None
        assert then[-1].artifacts[0].parts[0].root.data == {"sum": 5}  # type: ignore[union-attr]
    assert all(headers["x-a2a-notification-token"] == "t-1" for headers, _ in receiver.came)
    assert bodies[0].get("task", bodies[0])["id"] == event.task.id


async def test_what_comes_is_signed_by_a_key_that_is_shown(line: Line, receiver: Receiver) -> None:
    task = await started(line.app, taskPushNotificationConfig=hook(receiver, id="h"))
    await ended(line.app, task)
    await line.deliver()
    keys = {one["kid"]: one for one in (await line.desk.tokens.jwks())["keys"]}
    for headers, body in receiver.came:
        token = headers["authorization"].removeprefix("Bearer ")
        assert token == headers["x-a2a-notification-jwt"]
        kid = jwt.get_unverified_header(token)["kid"]
        key = jwt.PyJWK({**keys[kid], "alg": "EdDSA"})
        signed, _, signature = token.rpartition(".")
        key.key.verify(jwt.utils.base64url_decode(signature), signed.encode())
        claims = json.loads(jwt.utils.base64url_decode(signed.split(".")[1]))
        assert claims["aud"] == receiver.url  # type: ignore[attr-defined]
        assert claims["taskId"] == task
        assert claims["exp"] - claims["iat"] == 300
        assert claims["digest"] == "sha256:" + hashlib.sha256(body).hexdigest()
        recognised = line.desk.tokens.principal(
            await line.desk.directory.follow(), token, line.clock.now_ms()
        )
        assert recognised is None  # it opens nothing here


async def test_credentials_go_where_the_client_said_and_into_no_log(
    line: Line, receiver: Receiver
) -> None:
    shown = {"scheme": "Basic", "credentials": "dTpwYXNzd29yZA=="}
    receivers = hook(receiver, token="tok-4711", authentication=shown)
    task = await started(line.app, taskPushNotificationConfig=receivers)
    await ended(line.app, task)
    await line.deliver()
    assert {headers["authorization"] for headers, _ in receiver.came} == {"Basic dTpwYXNzd29yZA=="}
    events = await line.office.squad.world.store.read()
    written = "".join(str(event.payload) for event in events)
    assert "tok-4711" not in written
    assert "dTpwYXNzd29yZA" not in written


async def test_one_that_does_not_answer_is_tried_again_later_and_in_order(
    line: Line, receiver: Receiver
) -> None:
    receiver.answers = [503, 500]
    task = await started(line.app, taskPushNotificationConfig=hook(receiver, id="h"))
    await ended(line.app, task)
    await line.deliver()
    assert len(receiver.came) == 1  # the next try is due in a second
    line.clock.ahead_ms += 1_000
    await line.deliver()
    assert len(receiver.came) == 2
    line.restarted()  # the wait goes on where it was
    await line.deliver()
    assert len(receiver.came) == 2
    line.clock.ahead_ms += 2_000
    await line.deliver()
    assert receiver.states() == [*["TASK_STATE_WORKING"] * 3, DONE]


async def test_a_receiver_that_asks_for_time_gets_it(line: Line, receiver: Receiver) -> None:
    receiver.answers, receiver.headers = [429], {"Retry-After": "60"}
    await ended(line.app, await started(line.app, taskPushNotificationConfig=hook(receiver)))
    await line.deliver()
    line.clock.ahead_ms += 59_000
    await line.deliver()
    assert len(receiver.came) == 1
    line.clock.ahead_ms += 2_000
    await line.deliver()
    assert receiver.states()[-1] == DONE


async def test_what_is_refused_is_given_up_and_can_be_sent_again(
    line: Line, receiver: Receiver
) -> None:
    receiver.answers = [403]
    task = await started(line.app, taskPushNotificationConfig=hook(receiver, id="h"))
    await ended(line.app, task)
    await line.deliver()
    assert receiver.states() == ["TASK_STATE_WORKING", DONE]
    [shown] = (await line.call("a2a.push_list")).items
    assert (shown.delivered, shown.waiting, shown.given_up) == (1, 0, 1)
    assert shown.why == "answered 403"
    await line.call("a2a.push_again", task=task, config="h")
    await line.deliver()
    assert len(receiver.came) == 3
    assert (await line.call("a2a.push_show", task=task)).given_up == 0


async def test_after_twelve_attempts_it_is_given_up(line: Line, receiver: Receiver) -> None:
    receiver.answers = [500] * 12
    task = await started(line.app, taskPushNotificationConfig=hook(receiver, id="h"))
    await ended(line.app, task)
    for _ in range(16):
        await line.deliver(3)
        line.clock.ahead_ms += 900_000
    shown = await line.call("a2a.push_show", task=task)
    assert (shown.given_up, shown.delivered) == (1, 1)
    assert len(receiver.came) == 13


async def test_a_crash_after_the_answer_sends_again_what_has_the_same_name(
    line: Line, receiver: Receiver
) -> None:
    task = await started(line.app, taskPushNotificationConfig=hook(receiver, id="h"))
    await ended(line.app, task)
    store = line.office.squad.world.store
    append, lost = store.append, []

    async def losing(events: Any, **options: Any) -> Any:
        if events[0].type == "push.delivered" and not lost:
            lost.append(events)
            raise OSError("power is gone")
        return await append(events, **options)

    store.append = losing
    await line.post.look()
    await line.post.idle()
    store.append = append
    line.restarted()
    await line.deliver()
    assert receiver.states() == ["TASK_STATE_WORKING", "TASK_STATE_WORKING", DONE]
    names = [
        json.loads(jwt.utils.base64url_decode(headers["x-a2a-notification-jwt"].split(".")[1]))[
            "jti"
        ]
        for headers, _ in receiver.came
    ]
    assert names[0] == names[1] != names[2]


async def test_what_is_of_no_concern_is_not_read_again(line: Line, receiver: Receiver) -> None:
    task = await started(line.app)
    await ended(line.app, task)
    store = line.office.squad.world.store
    read, asked = store.read, []

    async def noted(**options: Any) -> Any:
        asked.append(options["after"])
        return await read(**options)

    store.read = noted
    await line.deliver(5)
    store.read = read
    assert asked == [0]
    await line.call("a2a.push_set", task=task, url=receiver.url, past=True)  # type: ignore[attr-defined]
    await line.deliver()
    assert receiver.states()[-1] == DONE


async def test_a_person_who_has_to_decide_is_told_of_and_so_is_the_answer(
    line: Line, receiver: Receiver
) -> None:
    task = await started(
        line.app, "workflow:asking", taskPushNotificationConfig=hook(receiver, id="h")
    )
    await ended(line.app, task)
    await line.deliver()
    assert receiver.states()[-1] == "TASK_STATE_AUTH_REQUIRED"
    [item] = (await line.call("runs.inbox")).items
    await line.office.squad.invoke(
        "approvals.approve", {"item": item.id, "reason": "fine"}, actor=Actor("person", "bob")
    )
    await ended(line.app, task)
    await line.deliver()
    assert receiver.states()[-1] == DONE
    assert receiver.states().count("TASK_STATE_AUTH_REQUIRED") == 1


async def test_only_what_comes_after_is_told_to_a_receiver_that_was_set_later(
    line: Line, receiver: Receiver
) -> None:
    task = await started(line.app, "workflow:patient")
    await line.call("a2a.push_set", task=task, url=receiver.url, config="h")  # type: ignore[attr-defined]
    await line.deliver()
    before = len(receiver.came)
    await line.office.go(task)
    await ended(line.app, task)
    await line.deliver()
    assert receiver.states()[before:] == [DONE]


async def test_who_lost_the_right_to_look_is_told_nothing_more(
    line: Line, receiver: Receiver
) -> None:
    task = await started(line.app, taskPushNotificationConfig=hook(receiver, id="h"))
    await ended(line.app, task)

    async def gone(actor: str, roles: tuple[str, ...]) -> tuple[str, ...] | None:
        assert (actor, roles) == ("person:ada", ("admin",))
        return None

    line.standing = gone
    await line.deliver()
    assert receiver.came == []
    assert (await line.call("a2a.push_show", task=task)).given_up == 2


async def test_nothing_leaves_while_the_kill_switch_is_on(line: Line, receiver: Receiver) -> None:
    await ended(line.app, await started(line.app, taskPushNotificationConfig=hook(receiver)))
    await line.call("control.halt", reason="look")
    await line.deliver()
    assert receiver.came == []
    await line.call("control.lift", reason="looked")
    await line.deliver()
    assert receiver.states()[-1] == DONE


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9/x", "https://127.0.0.1/x", "https://localhost/x", "https://[::1]/x",
        "https://10.0.0.1/x", "https://192.168.1.1/x", "https://169.254.169.254/latest/meta-data/",
        "https://[::ffff:127.0.0.1]/x", "https://[::ffff:a00:1]/", "https://[64:ff9b::7f00:1]/x",
        "https://[2002:7f00:1::]/x", "https://[fd00::1]/x", "https://[fe80::1%25lo]/x",
        "https://0.0.0.0/x", "https://0/x", "https://2130706433/x", "https://0x7f.1/x",
        "https://100.64.0.1/x", "https://224.0.0.1/x", "https://[ff02::1]/x",
        "http://93.184.215.14/x", "ftp://93.184.215.14/x", "file:///etc/passwd", "https://", "x",
        "https://user:word@93.184.215.14/", "https://93.184.215.14/#x", "https://a b/",
        "https://93.184.215.14\\@127.0.0.1/", "https://93.184.215.14:99999/",
        "https://name.that.is.nowhere.invalid/x",
    ],
)  # fmt: skip
async def test_no_address_inside_is_gone_to(url: str) -> None:
    hooks = HttpWebhooks(True, allowed(""))
    with pytest.raises(PushUrlError):
        await hooks.admit(url)
    with pytest.raises(PushUrlError):
        found = await hooks.post(url, b"{}", {})
        if not found.status and "has no address" in found.why:
            raise PushUrlError  # a name of nobody: tried again later


async def test_networks_and_names_of_ones_own_may_be_allowed() -> None:
    hooks = HttpWebhooks(True, allowed("10.1.0.0/16, localhost"))
    await hooks.admit("http://10.1.2.3:8080/x")
    await hooks.admit("http://localhost/x")
    await hooks.admit("https://93.184.215.14/x")
    for url in ("http://10.2.0.1/x", "http://127.0.0.1/x", "http://93.184.215.14/x"):
        with pytest.raises(PushUrlError):
            await hooks.admit(url)
    with pytest.raises(InvalidError, match="no network and no host"):
        allowed("10.0.0.0/99")


async def test_an_address_inside_is_refused_in_the_words_of_the_protocol(office: Any) -> None:
    app = office.app(push=True)
    task = await started(app)
    params = {"taskId": task, "url": "https://127.0.0.1/x"}
    reply = await ask(app, rpc("CreateTaskPushNotificationConfig", params), path="/a2a")
    error = reply.json()["error"]
    assert error["code"] == -32602
    assert error["data"][0]["metadata"]["code"] == "a2a.push_url"


async def test_a_name_that_leads_inside_by_now_is_not_gone_to(
    line: Line, receiver: Receiver
) -> None:
    task = await started(line.app, taskPushNotificationConfig=hook(receiver, id="h"))
    await ended(line.app, task)
    line.office.squad.world.ports.put(Webhooks, HttpWebhooks(True, allowed("")))
    await line.deliver()
    assert receiver.came == []
    shown = await line.call("a2a.push_show", task=task)
    assert shown.given_up == 2
    assert "may not be gone to" in shown.why


async def test_redirects_are_not_followed(line: Line, receiver: Receiver) -> None:
    receiver.answers, receiver.headers = [307], {"Location": receiver.url}  # type: ignore[attr-defined]
    task = await started(line.app, taskPushNotificationConfig=hook(receiver, id="h"))
    await ended(line.app, task)
    await line.deliver()
    assert len(receiver.came) == 2
    assert (await line.call("a2a.push_show", task=task)).given_up == 1


async def test_where_it_is_off_the_card_says_so_and_nothing_is_taken(office: Any) -> None:
    path = "/.well-known/agent-card.json"
    for push in (False, True):
        reply = await ask(office.app(push=push), b"", method="GET", path=path)
        assert reply.json()["capabilities"]["pushNotifications"] is push
    office.squad.world.ports.put(Webhooks, HttpWebhooks(False, allowed("")))
    app = office.app()
    params = {"taskId": "x", "url": "https://client.example/"}
    reply = await ask(app, rpc("CreateTaskPushNotificationConfig", params), path="/a2a")
    assert reply.json()["error"]["code"] == -32003
    given = {"taskPushNotificationConfig": {"url": "https://client.example/"}}
    body = {**message(), "configuration": given}
    reply = await ask(app, rpc("SendMessage", body), path="/a2a")
    assert reply.json()["error"]["code"] == -32003
    assert await office.squad.world.store.read(types=["run.started"]) == []


@pytest.mark.parametrize(
    "given",
    [
        {"config": "a b"}, {"version": "7"}, {"scheme": "x y"}, {"credentials": "x"},
        {"scheme": "Basic"}, {"token": "a\nb"}, {"token": "x" * 5000}, {"token": "ä"},
    ],
)  # fmt: skip
async def test_what_cannot_be_a_receiver_is_refused(
    line: Line, receiver: Receiver, given: dict[str, Any]
) -> None:
    task = await started(line.app)
    with pytest.raises(InvalidError):
        await line.call("a2a.push_set", task=task, url=receiver.url, **given)  # type: ignore[attr-defined]


async def test_a_task_has_so_many_receivers_and_unknown_ones_are_named(
    line: Line, receiver: Receiver
) -> None:
    task = await started(line.app)
    for _ in range(10):
        await line.call("a2a.push_set", task=task, url=receiver.url)  # type: ignore[attr-defined]
    with pytest.raises(InvalidError, match="at most 10"):
        await line.call("a2a.push_set", task=task, url=receiver.url)  # type: ignore[attr-defined]
    with pytest.raises(MissingError):
        await line.call("a2a.push_show", task=task, config="other")
    with pytest.raises(MissingError):
        await line.call("a2a.push_set", task="nothing", url=receiver.url)  # type: ignore[attr-defined]


async def test_agents_ask_for_no_notifications(line: Line, receiver: Receiver) -> None:
    task = await started(line.app)
    value = {"task": task, "url": receiver.url}  # type: ignore[attr-defined]
    with pytest.raises(DeniedError):
        await line.office.squad.invoke("a2a.push_set", value, actor=Actor("agent", "clerk"))
