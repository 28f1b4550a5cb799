"""The official client as judge: both revisions, over HTTP, against the real
gateway."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

mcp = pytest.importorskip("mcp")
httpx2 = pytest.importorskip("httpx2")

ERAS = ("legacy", "2026-07-28", "auto")


@asynccontextmanager
async def connected(
    url: str, mode: str, actor: str = "person:ada", **options: Any
) -> AsyncIterator[Any]:
    from mcp.client.streamable_http import streamable_http_client

    headers = {"Authorization": f"Bearer {actor}"}
    async with httpx2.AsyncClient(headers=headers) as http:
        transport = streamable_http_client(url + "/mcp", http_client=http)
        async with mcp.Client(transport, mode=mode, **options) as client:
            yield client


@pytest.mark.parametrize("era", ERAS)
async def test_the_official_client_lists_and_calls_tools(house: Any, served: Any, era: str) -> None:
    async with served(house.app()) as url, connected(url, era) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert tools["sums.add"].annotations.read_only_hint is True
        assert tools["sums.refuse"].annotations.destructive_hint is True
        assert tools["sums.add"].output_schema["properties"]["sum"] == {"type": "integer"}
        came = await client.call_tool("sums.add", {"a": 2, "b": 3})
        assert came.structured_content == {"sum": 5}
        assert not came.is_error


@pytest.mark.parametrize("era", ERAS)
async def test_it_starts_runs_and_reads_them(house: Any, served: Any, era: str) -> None:
    async with served(house.app()) as url, connected(url, era) as client:
        came = await client.call_tool("runs.start", {"workflow": "adding", "input": '{"a": 4}'})
        run = came.structured_content["run"]
        listed = await client.list_resources()
        assert f"squad://runs/{run}" in {str(one.uri) for one in listed.resources}
        read = await client.read_resource(f"squad://runs/{run}")
        assert '"completed"' in read.contents[0].text
        events = await client.read_resource(f"squad://runs/{run}/events")
        assert "run.completed" in events.contents[0].text


@pytest.mark.parametrize("era", ERAS)
async def test_errors_come_as_results_that_a_model_can_read(
    house: Any, served: Any, era: str
) -> None:
    async with served(house.app()) as url, connected(url, era) as client:
        came = await client.call_tool("sums.refuse", {"a": 1})
        assert came.is_error
        assert "sums.late: somebody was faster" in came.content[0].text
        wrong = await client.call_tool("sums.add", {"a": "x"})
        assert wrong.is_error
        with pytest.raises(mcp.MCPError) as unknown:
            await client.call_tool("sums.nothing", {})
        assert unknown.value.error.code == -32602


@pytest.mark.parametrize("era", ERAS)
async def test_files_travel_as_content_and_links(house: Any, served: Any, era: str) -> None:
    async with served(house.app()) as url, connected(url, era) as client:
        came = await client.call_tool(
            "sums.report", {"source": {"name": "in.txt", "text": "hello"}, "out": "r.txt"}
        )
        assert came.structured_content == {"length": 5}
        [link] = [one for one in came.content if one.type == "resource_link"]
        read = await client.read_resource(str(link.uri))
        assert read.contents[0].uri == link.uri


@pytest.mark.parametrize("named", [{}, {"out": None}])
async def test_a_file_that_nobody_named_is_the_callers_too(
    house: Any, served: Any, named: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    async with served(house.app()) as url, connected(url, ERAS[0]) as client:
        source = {"name": "in.txt", "text": "hello"}
        came = await client.call_tool("sums.report", {"source": source, **named})
        [link] = [one for one in came.content if one.type == "resource_link"]
        assert link.name == "report.txt"
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("era", ERAS)
async def test_prompts_and_completion(house: Any, served: Any, era: str) -> None:
    async with served(house.app()) as url, connected(url, era) as client:
        started = await client.call_tool("runs.start", {"workflow": "adding", "input": '{"a": 4}'})
        run = started.structured_content["run"]
        names = {one.name for one in (await client.list_prompts()).prompts}
        assert names >= {"explain-run", "review-approval"}
        from mcp_types import PromptReference

        ref = PromptReference(type="ref/prompt", name="compare-runs")
        found = await client.complete(ref, {"name": "run", "value": run[:3]})
        assert found.completion.values == [run]
        made = await client.get_prompt("compare-runs", {"run": run, "other": run})
        assert run in made.messages[0].content.text
        assert made.messages[1].content.resource.uri == f"squad://runs/{run}"


async def test_changes_are_told_in_the_current_revision(house: Any, served: Any) -> None:
    async with (
        served(house.app()) as url,
        connected(url, "2026-07-28") as client,
        client.listen(resource_subscriptions=["squad://runs"]) as heard,
    ):
        await client.call_tool("runs.start", {"workflow": "adding", "input": '{"a": 4}'})
        event = await anext(aiter(heard))
        assert event.uri == "squad://runs"


@pytest.mark.filterwarnings("ignore::mcp.MCPDeprecationWarning")
async def test_changes_are_told_in_the_revision_before(house: Any, served: Any) -> None:
    import asyncio

    told: asyncio.Queue[Any] = asyncio.Queue()

    async def hear(message: Any) -> None:
        told.put_nowait(message)

    async with served(house.app()) as url, connected(url, "legacy", message_handler=hear) as client:
        await client.subscribe_resource("squad://runs")
        await client.call_tool("runs.start", {"workflow": "adding", "input": '{"a": 4}'})
        while True:
            message = await asyncio.wait_for(told.get(), 5)
            if getattr(message, "method", "") == "notifications/resources/updated":
                assert message.params.uri == "squad://runs"
                break


@pytest.mark.parametrize("era", ERAS)
async def test_progress_is_told_when_it_is_asked_for(house: Any, served: Any, era: str) -> None:
    told: list[str] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        told.append(message or "")

    async with served(house.app()) as url, connected(url, era) as client:
        await client.call_tool(
            "runs.start", {"workflow": "adding", "input": '{"a": 4}'}, progress_callback=hear
        )
        assert told[0] == "begun"


async def _waiting(client: Any) -> str:
    """Start a run that asks a person; return the question's id."""
    await client.call_tool("runs.start", {"workflow": "asking", "input": '{"a": 4}'})
    inbox = await client.call_tool("runs.inbox", {})
    return str(inbox.structured_content["items"][0]["id"])


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("says", [True, False])
async def test_a_person_is_asked_at_the_client_before_their_answer_counts(
    house: Any, served: Any, era: str, says: bool
) -> None:
    from mcp_types import ElicitResult

    seen: list[str] = []

    async def person(context: Any, params: Any) -> Any:
        seen.append(params.message)
        return ElicitResult(action="accept", content={"confirm": says})

    async with served(house.app()) as url:
        async with connected(url, era, "person:bob") as other:
            item = await _waiting(other)
        async with connected(url, era, elicitation_callback=person) as client:
            came = await client.call_tool("approvals.approve", {"item": item, "reason": "fits"})
            left = (await client.call_tool("runs.inbox", {})).structured_content["items"]
    assert len(seen) == 1
    assert item in seen[0]
    assert came.is_error is not says
    assert (left == []) is says


@pytest.mark.parametrize("era", ERAS)
async def test_a_client_that_cannot_ask_its_person_cannot_approve(
    house: Any, served: Any, era: str
) -> None:
    async with served(house.app()) as url, connected(url, era) as client:
        item = await _waiting(client)
        if era == "legacy":
            came = await client.call_tool("approvals.approve", {"item": item, "reason": "fits"})
            assert came.is_error
        else:
            with pytest.raises(mcp.MCPError) as refused:
                await client.call_tool("approvals.approve", {"item": item, "reason": "fits"})
            assert refused.value.error.code == -32021
        assert (await client.call_tool("runs.inbox", {})).structured_content["items"]


async def test_answers_of_people_are_no_tools_of_an_agent(house: Any, served: Any) -> None:
    async with served(house.app()) as url, connected(url, "auto", "agent:helper") as client:
        names = {tool.name for tool in (await client.list_tools()).tools}
        assert "runs.list" in names
        assert not {name for name in names if name.startswith("approvals.")}
        came = await client.call_tool("approvals.approve", {"item": "x", "reason": "why"})
        assert came.is_error
        assert "mcp.people_only" in came.content[0].text


@pytest.mark.parametrize("era", ["legacy", "2026-07-28"])
async def test_log_messages_come_when_they_are_asked_for(house: Any, served: Any, era: str) -> None:
    heard: list[Any] = []

    async def hear(params: Any) -> None:
        heard.append(params)

    async with served(house.app()) as url, connected(url, era, logging_callback=hear) as client:
        meta = None
        if era == "legacy":
            import warnings

            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                await client.set_logging_level("info")
        else:
            meta = {"io.modelcontextprotocol/logLevel": "info"}
        await client.call_tool("sums.add", {"a": 1}, meta=meta)
    assert heard[0].data["action"] == "sums.add"
