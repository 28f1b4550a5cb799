"""An agent of another system, written with the official A2A SDK, as a tool of
an agent here; both generations."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

pytest.importorskip("a2a")


def official_app(port: int, version: str, heard: list[str]) -> Any:
    from a2a.helpers import new_text_part
    from a2a.server.agent_execution import AgentExecutor
    from a2a.server.request_handlers import DefaultRequestHandler
    from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes
    from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
    from a2a.types import (
        AgentCapabilities,
        AgentCard,
        AgentInterface,
        AgentSkill,
        Task,
        TaskState,
        TaskStatus,
    )
    from starlette.applications import Starlette

    class Translator(AgentExecutor):
        async def execute(self, context: Any, event_queue: Any) -> None:
            heard.append(context.get_user_input())
            task = Task(
                id=context.task_id,
                context_id=context.context_id,
                status=TaskStatus(state=TaskState.TASK_STATE_SUBMITTED),
                history=[context.message],
            )
            await event_queue.enqueue_event(task)
            updater = TaskUpdater(event_queue, context.task_id, context.context_id)
            await updater.start_work()
            if heard[-1] == "fail":
                await updater.failed(updater.new_agent_message([new_text_part("no words")]))
                return
            await updater.add_artifact([new_text_part(heard[-1].upper())])
            await updater.complete()

        async def cancel(self, context: Any, event_queue: Any) -> None:
            raise NotImplementedError

    face = AgentInterface(
        url=f"http://127.0.0.1:{port}/rpc", protocol_binding="JSONRPC", protocol_version=version
    )
    skill = AgentSkill(id="shout", name="Shout", description="Says it louder", tags=["text"])
    card = AgentCard(
        name="translator",
        description="Translates",
        version="1",
        supported_interfaces=[face],
        capabilities=AgentCapabilities(streaming=False),
        default_input_modes=["text/plain"],
        default_output_modes=["text/plain"],
        skills=[skill],
    )
    handler = DefaultRequestHandler(Translator(), InMemoryTaskStore(), card)
    routes = [
        *create_agent_card_routes(card),
        *create_jsonrpc_routes(handler, "/rpc", enable_v0_3_compat=True),
    ]
    return Starlette(routes=routes)


@asynccontextmanager
async def served(version: str, heard: list[str]) -> AsyncIterator[str]:
    import socket

    import uvicorn

    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    app = official_app(port, version, heard)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", ws="none", lifespan="off"))
    serving = asyncio.create_task(server.serve([listening]))
    for _ in range(1000):
        if server.started:
            break
        await asyncio.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = server.force_exit = True
        await serving
        listening.close()


@pytest.mark.parametrize("version", ["1.0", "0.3"])
async def test_an_agent_asks_an_agent_of_another_system(workshop: Any, version: str) -> None:
    heard: list[str] = []
    async with served(version, heard) as url:
        await workshop.apply(url=url, protocol="a2a")
        pinned = await workshop.pin()
        assert [(one.tool, one.description) for one in pinned.items] == [
            ("shout", "Shout: Says it louder")
        ]
        run, answer = await workshop.ask(("tracker/shout", {"text": "hello"}))
        assert answer["text"] == "HELLO"
        _, failed = await workshop.ask(("tracker/shout", {"text": "fail"}))
        assert failed["error"]["message"] == "shout: the task is failed; no words"
        await workshop.reconnect()
    verdict = await workshop.squad.invoke("runs.replay", {"run": run})
    assert verdict.verdict == "identical"
    assert heard == ["hello", "fail"]


async def test_a_card_that_leads_elsewhere_is_not_followed(workshop: Any) -> None:
    from agentsquad.integrations.connectors.tools.adapters.web import A2aWeb, Web
    from agentsquad.integrations.connectors.tools.contract import ToolUnreachableError

    face = A2aWeb(Web("https://agent.example", {}, 1.0))
    with pytest.raises(ToolUnreachableError, match="another server"):
        await face.ask("https://evil.example/rpc", "GetTask", {}, "1.0")
    await face.close()
