"""The proxy as a part of a server: callers are recognised by the gateway,
allowed by access, and recorded in their own namespace."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
from starlette.applications import Starlette

from agentsquad.assembly.proxying import ServedProxy
from agentsquad.kernel.actor import Actor
from agentsquad.kernel.errors import UnauthenticatedError
from agentsquad.surfaces.gateway.contract import Caller
from agentsquad.testing.model_provider import provider
from agentsquad.trust.access.contract import AccessDeniedError, Ask
from agentsquad.trust.identity.contract import Principal, Shown

_spec = importlib.util.spec_from_file_location(
    "squad_proxy_world", Path(__file__).with_name("proxy_world.py")
)
assert _spec and _spec.loader
world: Any = sys.modules.setdefault("squad_proxy_world", importlib.util.module_from_spec(_spec))
_spec.loader.exec_module(world)

KEYS = {
    "sqk_ann": Principal(actor=Actor.parse("person:ann"), grants={"*": ("operator",)}),
    "sqk_bob": Principal(actor=Actor.parse("person:bob"), grants={"*": ("viewer",)}),
}
ASKED: Any = [{"role": "user", "content": "How many boxes?"}]


class Entrance:
    """A gateway that knows two keys, and access that lets operators in."""

    async def enter(self, hit: Any, shown: Shown, *, namespace: str, trace: str = "") -> Caller:
        principal = KEYS.get(shown.bearer or "")
        if principal is None:
            raise UnauthenticatedError()
        return Caller(principal=principal, namespace=namespace, surface=hit.surface)

    async def require(self, principal: Principal, ask: Ask) -> Any:
        assert (ask.verb, ask.effect) == ("proxy.run", "write")
        if "operator" not in principal.roles(ask.namespace):
            raise AccessDeniedError()


async def test_each_caller_has_a_run_of_their_own_in_their_namespace(tmp_path: Path) -> None:
    import openai  # loads for a second, in every worker otherwise

    with provider() as there:
        home = world.installed(tmp_path / "one", there.url)
        other = world.installed(tmp_path / "two", there.url)
        async with home as default, other as acme:
            places = {"default": default, "acme": acme}

            async def use(name: str) -> Any:
                return places[name]

            door: Any = Entrance()
            served = ServedProxy(door, door, SimpleNamespace(use=use))  # type: ignore[arg-type]
            transport = httpx.ASGITransport(app=Starlette(routes=served.routes()))
            async with httpx.AsyncClient(transport=transport, base_url="http://squad") as client:
                gpt = openai.AsyncOpenAI(
                    base_url="http://squad/proxy/v1", api_key="sqk_ann", http_client=client,
                    max_retries=0, default_headers={"Squad-Namespace": "acme"},
                )  # fmt: skip
                stream = await gpt.chat.completions.create(
                    model="gpt-4o", messages=ASKED, stream=True
                )
                said = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
                assert said == "Answer 1 to: How many boxes?"
                claude = {"model": "claude-x", "max_tokens": 5, "messages": ASKED}
                for key, status in (("sqk_ann", 200), ("sqk_bob", 403), ("sk-other", 401)):
                    answer = await client.post(
                        "/proxy/v1/messages", json=claude, headers={"x-api-key": key}
                    )
                    assert answer.status_code == status, answer.text
                    assert answer.json()["type"] == ("message" if status == 200 else "error")
                nowhere = await client.get("/proxy/v1/files", headers={"x-api-key": "sqk_ann"})
                assert nowhere.status_code == 404
            await served.close()
            assert [len(await sessions(places[name])) for name in places] == [1, 1]
            (run,) = await sessions(acme)
            started = (await acme.world.store.read_stream(f"run/{run}"))[0]
            assert started.actor == "person:ann"
            assert (await acme.invoke("runs.replay", {"run": run})).verdict == "identical"
    assert len(there.asked) == 2


async def sessions(squad: Any) -> list[str]:
    listed = (await squad.invoke("runs.list", {})).items
    return [one.id for one in listed if one.workflow == "proxy-session"]
