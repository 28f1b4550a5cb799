"""The proxy as a part of a server: an ASGI application whose callers the server
recognises."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import openai

from agentsquad.integrations.proxy.asgi import ProxyApp
from agentsquad.integrations.proxy.doors import Doors, as_bearer
from agentsquad.kernel.actor import Actor
from agentsquad.kernel.errors import UnauthenticatedError
from agentsquad.testing.model_provider import provider

_spec = importlib.util.spec_from_file_location(
    "squad_proxy_world", Path(__file__).with_name("proxy_world.py")
)
assert _spec and _spec.loader
world: Any = sys.modules.setdefault("squad_proxy_world", importlib.util.module_from_spec(_spec))
_spec.loader.exec_module(world)

KEYS = {"Bearer sqk_ann": "person:ann", "Bearer sqk_tool": "agent:tool"}
ASKED: Any = [{"role": "user", "content": "How many boxes?"}]


async def test_a_server_says_who_asks_and_each_caller_has_a_run_of_their_own(
    tmp_path: Path,
) -> None:
    with provider() as there:
        async with world.installed(tmp_path, there.url) as squad:
            doors = Doors()

            async def choose(scope: Any, headers: Mapping[str, str]) -> Any:
                name = KEYS.get(as_bearer(headers).get("authorization", ""))
                if name is None:
                    raise UnauthenticatedError()
                return await doors.answerer(squad.world, Actor.parse(name))

            transport = httpx.ASGITransport(app=ProxyApp(choose), root_path="/proxy")
            async with httpx.AsyncClient(transport=transport, base_url="http://squad") as client:
                gpt = openai.AsyncOpenAI(
                    base_url="http://squad/proxy/v1", api_key="sqk_ann", http_client=client,
                    max_retries=0,
                )  # fmt: skip
                stream = await gpt.chat.completions.create(
                    model="gpt-4o", messages=ASKED, stream=True
                )
                said = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
                assert said == "Answer 1 to: How many boxes?"
                claude = {"model": "claude-x", "max_tokens": 5, "messages": ASKED}
                for key, status in (("sqk_ann", 200), ("sqk_tool", 403), ("sk-other", 401)):
                    answer = await client.post(
                        "/proxy/v1/messages", json=claude, headers={"x-api-key": key}
                    )
                    assert answer.status_code == status, answer.text
                    assert answer.json()["type"] == ("message" if status == 200 else "error")
                nowhere = await client.get("/proxy/v1/files", headers={"x-api-key": "sqk_ann"})
                assert nowhere.status_code == 404
            await doors.close()
            listed = (await squad.invoke("runs.list", {})).items
            (run,) = [one.id for one in listed if one.workflow == "proxy-session"]
            started = (await squad.world.store.read_stream(f"run/{run}"))[0]
            assert started.actor == "person:ann"
    assert len(there.asked) == 2
