"""The official client as judge: both generations, both bindings."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

a2a = pytest.importorskip("a2a")

FACES = [("1.0", "JSONRPC"), ("1.0", "HTTP+JSON"), ("0.3", "JSONRPC"), ("0.3", "HTTP+JSON")]


@asynccontextmanager
async def connected(
    url: str, version: str, binding: str, *, streaming: bool = False
) -> AsyncIterator[Any]:
    from a2a.client import A2ACardResolver, ClientConfig, ClientFactory

    headers = {"Authorization": "Bearer person:ada"}
    async with httpx.AsyncClient(headers=headers, timeout=20) as http:
        card = await A2ACardResolver(http, url).get_agent_card()
        kept = [
            face
            for face in card.supported_interfaces
            if (face.protocol_version, face.protocol_binding) == (version, binding)
        ]
        del card.supported_interfaces[:]
        card.supported_interfaces.extend(kept)
        config = ClientConfig(
            streaming=streaming, httpx_client=http, supported_protocol_bindings=[binding]
        )
        client = ClientFactory(config).create(card)
        yield client


def sent(skill: str, *, text: str = "", data: Any = None, id: str = "m1", **more: Any) -> Any:
    from a2a.types import Message, Part, Role, SendMessageRequest
    from google.protobuf.json_format import ParseDict

    parts = [Part(text=text)] if text else []
    if data is not None:
        part = Part()
        ParseDict(data, part.data)
        parts.append(part)
    message = Message(message_id=id, role=Role.ROLE_USER, parts=parts, **more)
    if skill:
        message.metadata["skill"] = skill
    return SendMessageRequest(message=message)


async def all_of(stream: Any) -> list[Any]:
    return [event async for event in stream]


def plain(message: Any) -> Any:
    from google.protobuf.json_format import MessageToDict

    return MessageToDict(message)


@pytest.mark.parametrize(("version", "binding"), FACES)
async def test_a_message_becomes_a_task_that_is_a_run(
    office: Any, served: Any, version: str, binding: str
) -> None:
    from a2a.types import GetTaskRequest

    async with served(office.app()) as url, connected(url, version, binding) as client:
        [event] = await all_of(client.send_message(sent("workflow:adding", data={"a": 4})))
        task = plain(event.task)
        assert task["status"]["state"] == "TASK_STATE_COMPLETED"
        assert task["artifacts"][0]["parts"][0]["data"] == {"sum": 5}
        again = plain(await client.get_task(GetTaskRequest(id=task["id"])))
        assert again["status"]["state"] == "TASK_STATE_COMPLETED"
        assert again["history"][0]["parts"][0]["data"] == {"a": 4}
    runs = await office.squad.world.store.read(types=["run.started"])
    assert runs[0].stream == f"run/{task['id']}"
    assert runs[0].actor == "person:ada"


@pytest.mark.parametrize(("version", "binding"), FACES)
async def test_a_task_is_streamed_until_it_ends(
    office: Any, served: Any, version: str, binding: str
) -> None:
    from a2a.types import SubscribeToTaskRequest

    async with (
        served(office.app()) as url,
        connected(url, version, binding, streaming=True) as client,
    ):
        seen: list[Any] = []
        stream = client.send_message(sent("workflow:patient", data={"a": 4}))
        async for event in stream:
            seen.append(event)
            if event.WhichOneof("payload") == "task":
                task = event.task.id
                other = client.subscribe(SubscribeToTaskRequest(id=task))
                late = [await anext(other)]
                await office.go(task)
        late += await all_of(other)
        for events in (seen, late):
            names = [event.WhichOneof("payload") for event in events]
            assert names[0] == "task"
            assert names[-2:] == ["artifact_update", "status_update"]
            last = plain(events[-1].status_update)
            assert last["status"]["state"] == "TASK_STATE_COMPLETED"


@pytest.mark.parametrize(("version", "binding"), FACES)
async def test_an_agent_asks_back_and_gets_its_answer(
    office: Any, served: Any, version: str, binding: str
) -> None:
    await office.hire('{"inputRequired": "which currency?"}', '{"total": "7 EUR"}')
    async with served(office.app()) as url, connected(url, version, binding) as client:
        [event] = await all_of(client.send_message(sent("agent:clerk", text="add 3 and 4")))
        task = plain(event.task)
        assert task["status"]["state"] == "TASK_STATE_INPUT_REQUIRED", task
        assert task["status"]["message"]["parts"][0]["text"] == "which currency?"
        more = sent("", text="EUR", id="m2", task_id=task["id"])
        [event] = await all_of(client.send_message(more))
        done = plain(event.task)
        assert done["id"] == task["id"]
        assert done["status"]["state"] == "TASK_STATE_COMPLETED"
        assert [one["messageId"] for one in done["history"]] == ["m1", "m2"]
    asked = office.asked[1].messages[-1].content
    assert "which currency?" in asked
    assert "EUR" in asked


@pytest.mark.parametrize(("version", "binding"), FACES)
async def test_a_task_that_waits_can_be_canceled_once(
    office: Any, served: Any, version: str, binding: str
) -> None:
    from a2a.types import CancelTaskRequest
    from a2a.utils.errors import TaskNotCancelableError

    async with served(office.app()) as url, connected(url, version, binding) as client:
        [event] = await all_of(client.send_message(sent("workflow:asking", data={"a": 4})))
        task = plain(event.task)
        assert task["status"]["state"] == "TASK_STATE_AUTH_REQUIRED"
        ended = plain(await client.cancel_task(CancelTaskRequest(id=task["id"])))
        assert ended["status"]["state"] == "TASK_STATE_CANCELED"
        with pytest.raises(TaskNotCancelableError):
            await client.cancel_task(CancelTaskRequest(id=task["id"]))


@pytest.mark.parametrize(("version", "binding"), FACES)
async def test_what_is_not_there_is_said_by_its_name(
    office: Any, served: Any, version: str, binding: str
) -> None:
    from a2a.types import GetTaskRequest
    from a2a.utils.errors import TaskNotFoundError

    async with served(office.app()) as url, connected(url, version, binding) as client:
        with pytest.raises(TaskNotFoundError):
            await client.get_task(GetTaskRequest(id="nothing"))


@pytest.mark.parametrize(("version", "binding"), FACES[:2])
async def test_tasks_are_listed_by_pages_those_that_changed_last_first(
    office: Any, served: Any, version: str, binding: str
) -> None:
    from a2a.types import ListTasksRequest

    async with served(office.app()) as url, connected(url, version, binding) as client:
        ids = []
        for number in range(3):
            request = sent("workflow:adding", data={"a": number}, id=f"m{number}")
            [event] = await all_of(client.send_message(request))
            ids.append(event.task.id)
        first = await client.list_tasks(ListTasksRequest(page_size=2))
        assert [one.id for one in first.tasks] == ids[:0:-1]
        assert first.total_size == 3
        rest = await client.list_tasks(
            ListTasksRequest(page_size=2, page_token=first.next_page_token)
        )
        assert [one.id for one in rest.tasks] == ids[:1]
        assert rest.next_page_token == ""


@pytest.mark.parametrize(("version", "binding"), FACES)
async def test_those_who_sign_in_see_every_skill(
    office: Any, served: Any, version: str, binding: str
) -> None:
    from a2a.types import GetExtendedAgentCardRequest

    async with served(office.app()) as url, connected(url, version, binding) as client:
        card = await client.get_extended_agent_card(GetExtendedAgentCardRequest())
        assert "workflow:adding" in {skill.id for skill in card.skills}
