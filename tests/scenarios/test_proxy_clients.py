"""The vendors' own clients behind the proxy: every API, whole and streamed,
live and offline again."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from agentsquad.testing import model_provider
from agentsquad.testing.model_provider import Provider, provider

_spec = importlib.util.spec_from_file_location(
    "squad_proxy_world", Path(__file__).with_name("proxy_world.py")
)
assert _spec and _spec.loader
world: Any = sys.modules.setdefault("squad_proxy_world", importlib.util.module_from_spec(_spec))
_spec.loader.exec_module(world)
KEY, REAL, door, installed, replayed = (
    world.KEY, world.REAL, world.door, world.installed, world.replayed
)  # fmt: skip

ASKED = [{"role": "user", "content": "When does order 42 ship?"}]
OPEN: list[Any] = []
TOOL: Any = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}},
}


# Each worker reads every file of tests, and the clients load for seconds: they
# are imported where they are used.


def clients(address: str, key: str = KEY) -> tuple[Any, Any]:
    import anthropic
    import openai

    gpt = openai.AsyncOpenAI(base_url=f"{address}/v1", api_key=key, max_retries=0)
    claude = anthropic.AsyncAnthropic(base_url=address, api_key=key, max_retries=0)
    OPEN.extend((gpt, claude))
    return gpt, claude


@pytest.fixture(autouse=True)
async def closing() -> Any:
    """Close the clients of a test."""
    yield
    while OPEN:
        await OPEN.pop().close()


async def everything(address: str) -> list[Any]:
    """Ask by every API and return all that was answered."""
    gpt, claude = clients(address)
    said: list[Any] = []
    whole = await gpt.chat.completions.create(model="gpt-4o", messages=ASKED)
    said.append(whole.model_dump())
    said.append(await streamed_chat(gpt))
    called = await gpt.chat.completions.create(model="gpt-4o", messages=ASKED, tools=[TOOL])
    said.append(called.choices[0].message.tool_calls[0].function.arguments)
    said.append((await gpt.responses.create(model="gpt-4o", input="hello")).output_text)
    async with gpt.responses.stream(model="gpt-4o", input="hello again") as stream:
        kinds = [event.type async for event in stream]
        said += [kinds, (await stream.get_final_response()).output_text]
    vectors = await gpt.embeddings.create(model="text-embedding-3-small", input=["a", "bcd"])
    said.append([one.embedding for one in vectors.data])
    said.append([one.id async for one in gpt.models.list()])
    asking: Any = {"model": "claude-test", "max_tokens": 50, "messages": ASKED}
    said.append((await claude.messages.create(**asking)).content[0].text)
    async with claude.messages.stream(**asking) as stream:
        said.append([text async for text in stream.text_stream])
        said.append((await stream.get_final_message()).usage.model_dump())
    counted = await claude.messages.count_tokens(model="claude-test", messages=ASKED)
    said.append(counted.input_tokens)
    return said


async def streamed_chat(gpt: Any, **more: Any) -> list[Any]:
    stream = await gpt.chat.completions.create(model="gpt-4o", messages=ASKED, stream=True, **more)
    return [chunk.model_dump(exclude={"obfuscation"}) async for chunk in stream]


async def test_every_api_is_answered_recorded_and_answered_the_same_offline(
    tmp_path: Path,
) -> None:
    with provider() as upstream:
        async with installed(tmp_path, upstream.url) as squad, door(squad) as open_:
            live = await everything(open_.address)
            (run,) = await open_.end()
            assert len(upstream.asked) == 10
            events = await open_.events(run)
            replay = await squad.invoke("runs.replay", {"run": run})
            assert replay.verdict == "identical"
    # The provider is gone: nothing can be asked of it any more.
    async with installed(tmp_path, upstream.url) as squad, replayed(squad, run) as (address, tape):
        offline = await everything(address)
        assert offline == live
        assert tape.verdict() is None
        assert len(await squad.world.store.read_stream(f"run/{run}")) == len(events)


async def test_no_key_reaches_the_log_and_the_real_one_reaches_the_provider(
    tmp_path: Path,
) -> None:
    with provider() as upstream:
        async with installed(tmp_path, upstream.url) as squad, door(squad) as open_:
            await everything(open_.address)
            (run,) = await open_.end()
            text = repr(await open_.events(run))
    shown = {h.get("authorization") or h.get("x-api-key") for _, h, _ in upstream.asked}
    assert shown == {"Bearer real-openai-key", "real-anthropic-key"}
    for secret in (KEY, *REAL.values()):
        assert secret not in text
    assert not any(KEY in str(headers) for _, headers, _ in upstream.asked)


async def test_a_request_is_on_the_disk_before_it_is_sent(tmp_path: Path) -> None:
    with provider() as upstream:
        upstream.gate.clear()
        async with installed(tmp_path, upstream.url) as squad, door(squad) as open_:
            gpt, _ = clients(open_.address)
            asking = asyncio.ensure_future(streamed_chat(gpt))
            await asyncio.to_thread(upstream.came.wait, 10)
            (run,) = open_.sessions.runs
            taken = [e for e in await open_.events(run) if e.payload.get("action") == "proxy.take"]
            (item,) = taken[0].payload["output"]["items"]
            assert item["body"]["$rest"]["messages"] == ASKED
            upstream.gate.set()
            await asking


async def test_a_stream_is_one_event_and_says_what_it_cost(tmp_path: Path) -> None:
    with provider() as upstream:
        async with installed(tmp_path, upstream.url) as squad, door(squad) as open_:
            gpt, _ = clients(open_.address)
            chunks = await streamed_chat(gpt)
            (run,) = await open_.end()
            events = await open_.events(run)
    assert all(chunk["choices"] for chunk in chunks)  # usage was asked for by us, not by it
    (step,) = [e for e in events if e.payload.get("action") == "proxy.forward"]
    assert step.payload["usage"][0]["input_tokens"] == 12
    assert step.payload["usage"][0]["output_tokens"] == 7
    joined = [one["joined"] for one in step.payload["output"]["events"] if "joined" in one]
    assert joined == ["Answer 1 to: When does order 42 ship?"]


async def test_the_same_question_twice_gives_both_answers_in_their_order(
    tmp_path: Path,
) -> None:
    async def twice(address: str) -> list[str]:
        gpt, _ = clients(address)
        answers = [await gpt.chat.completions.create(model="gpt-4o", messages=ASKED)
                   for _ in range(2)]  # fmt: skip
        return [one.choices[0].message.content for one in answers]

    with provider() as upstream:
        async with installed(tmp_path, upstream.url) as squad, door(squad) as open_:
            live = await twice(open_.address)
            (run,) = await open_.end()
    assert live[0] != live[1]
    async with installed(tmp_path, upstream.url) as squad, replayed(squad, run) as (address, _):
        assert await twice(address) == live


async def test_the_first_divergence_is_named_and_no_model_is_asked(tmp_path: Path) -> None:
    import anthropic
    import openai

    with provider() as upstream:
        async with installed(tmp_path, upstream.url) as squad, door(squad) as open_:
            gpt, _ = clients(open_.address)
            await gpt.chat.completions.create(model="gpt-4o", messages=ASKED)
            await gpt.chat.completions.create(model="gpt-4o", messages=[*ASKED, *ASKED])
            (run,) = await open_.end()
        home = installed(tmp_path, upstream.url)
        async with home as squad, replayed(squad, run) as (address, tape):
            gpt, claude = clients(address)
            await gpt.chat.completions.create(model="gpt-4o", messages=ASKED)
            changed: Any = [*ASKED, {"role": "user", "content": "When does order 43 ship?"}]
            with pytest.raises(openai.BadRequestError) as refused:
                await gpt.chat.completions.create(model="gpt-4o", messages=changed)
            assert refused.value.code == "proxy.replay_miss"
            assert "request 2 differs" in refused.value.message
            assert "/messages/1/content" in refused.value.message
            found = tape.verdict()
            assert (found.request, found.field) == (2, "/messages/1/content")
            with pytest.raises(anthropic.BadRequestError) as other:
                await claude.messages.create(model="claude-x", max_tokens=5, messages=ASKED)
            assert other.value.body["type"] == "error"
        assert len(upstream.asked) == 2


async def test_times_and_ids_in_prompts_do_not_make_a_request_another(tmp_path: Path) -> None:
    def prompt(time: str, name: str) -> Any:
        return [{"role": "system", "content": f"It is {time}. Trace {name}."}, *ASKED]

    then = prompt("2026-11-23T21:44:38Z", "0d4e1a3e-5f1c-4c2c-9c44-0a1b2c3d4e5f")
    now = prompt("2027-01-02 03:04:05", "11111111-2222-3333-4444-555555555555")
    with provider() as upstream:
        async with installed(tmp_path, upstream.url) as squad, door(squad) as open_:
            gpt, _ = clients(open_.address)
            live = await gpt.chat.completions.create(model="gpt-4o", messages=then, user="a")
            (run,) = await open_.end()
    async with installed(tmp_path, upstream.url) as squad, replayed(squad, run) as (address, tape):
        gpt, _ = clients(address)
        again = await gpt.chat.completions.create(model="gpt-4o", messages=now, user="b")
        assert again == live
        assert tape.verdict() is None


async def test_a_stranger_without_the_key_is_kept_out(tmp_path: Path) -> None:
    import anthropic
    import openai

    with provider() as upstream:
        async with installed(tmp_path, upstream.url) as squad, door(squad) as open_:
            gpt, claude = clients(open_.address, "sk-x")
            with pytest.raises(openai.AuthenticationError):
                await gpt.chat.completions.create(model="gpt-4o", messages=ASKED)
            with pytest.raises(anthropic.AuthenticationError):
                await claude.messages.create(model="claude-x", max_tokens=5, messages=ASKED)
    assert upstream.asked == []


async def test_an_upstream_that_breaks_off_breaks_off_in_the_replay_too(tmp_path: Path) -> None:
    async def broken(address: str) -> list[str]:
        texts = []
        async with httpx.AsyncClient() as client:
            asked = {"model": "gpt-4o", "stream": True, "messages": ASKED}
            head = {"authorization": f"Bearer {KEY}"}
            url = f"{address}/v1/chat/completions"
            async with client.stream("POST", url, json=asked, headers=head) as answer:
                with pytest.raises(httpx.RemoteProtocolError):
                    async for line in answer.aiter_lines():
                        if line.startswith("data: "):
                            texts.append(json.loads(line[6:])["id"])
        return texts

    with provider() as upstream:
        shorten(upstream)
        async with installed(tmp_path, upstream.url) as squad, door(squad) as open_:
            live = await broken(open_.address)
            (run,) = await open_.end()
            letters = await squad.invoke("proxy.dead", {})
    assert live
    assert [one.why for one in letters.items] == ["the stream broke off"]
    async with installed(tmp_path, upstream.url) as squad, replayed(squad, run) as (address, _):
        assert await broken(address) == live


def shorten(upstream: Provider) -> None:
    """Have streams end before their end."""
    whole = model_provider.chat_events

    def cut(n: int, body: Any) -> Any:
        return list(whole(n, body))[:4]

    upstream.streamed = {"/v1/chat/completions": cut}


async def test_agents_may_name_sessions_of_their_own(tmp_path: Path) -> None:
    with provider() as upstream:
        async with installed(tmp_path, upstream.url) as squad, door(squad) as open_:
            for name in ("one", "two", "one"):
                gpt, _ = clients(f"{open_.address}/session/{name}")
                await gpt.chat.completions.create(model="gpt-4o", messages=ASKED)
            runs = await open_.end()
            assert len(runs) == 2
            outputs = [(await open_.events(run))[-1].payload["output"] for run in runs]
            assert [one["requests"] for one in outputs] == [2, 1]
