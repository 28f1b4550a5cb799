"""One suite over every model: what the port promises holds for all of them.

Remote ones talk over real sockets to servers that write the providers' formats.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agentsquad.integrations.connectors.ai.adapters.http import HttpxTransport
from agentsquad.integrations.connectors.ai.anthropic import plugin as anthropic
from agentsquad.integrations.connectors.ai.bedrock import plugin as bedrock
from agentsquad.integrations.connectors.ai.contract import (
    ModelAuthenticationError,
    ModelDeadlineError,
    ModelDeniedError,
    ModelLimitError,
    ModelMissingError,
    ModelRefusedError,
    ModelReplyError,
    ModelUnavailableError,
    Secret,
)
from agentsquad.integrations.connectors.ai.local import plugin as local
from agentsquad.integrations.connectors.ai.openai import plugin as openai
from agentsquad.integrations.connectors.ai.recorded.recorded import (
    RecordedModel,
    Recording,
    RecordingModel,
    dump,
    load,
)
from agentsquad.integrations.connectors.ai.rules.rules import RulesModel
from agentsquad.integrations.connectors.ai.scripted.scripted import ScriptedModel
from agentsquad.testing.clock import ManualClock
from agentsquad.workforce.agents.contract import (
    Message,
    Model,
    ModelReply,
    ModelRequest,
    ToolCall,
    ToolSpec,
)

_spec = importlib.util.spec_from_file_location(
    "model_wire", Path(__file__).with_name("model_wire.py")
)
assert _spec is not None and _spec.loader is not None
wire = importlib.util.module_from_spec(_spec)
__import__("sys").modules["model_wire"] = wire
_spec.loader.exec_module(wire)

SHAPE: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 20}, "large": {"type": "boolean"}},
    "required": ["city", "large"],
    "additionalProperties": False,
}
TOOL = ToolSpec(
    name="orders.status",
    description="look up the delivery status of one order",
    schema={
        "type": "object",
        "properties": {"order_id": {"type": "integer"}},
        "required": ["order_id"],
    },
)
SECRET = "sk-verysecretverysecret1234"
REMOTE = ("openai", "anthropic", "bedrock")
HERE = ("rules", "scripted", "recorded")


@dataclass
class Subject:
    """A model under test, what to call its model, and its server if it has
    one.
    """

    kind: str
    model: Model
    name: str
    server: Any = None

    def ask(self, text: str = "Say hello.", **options: Any) -> ModelRequest:
        messages = options.pop("messages", (Message(role="user", content=text),))
        return ModelRequest(model=self.name, messages=messages, **options)


class Keys(dict[str, str]):
    """An environment with keys in it."""


KEYS = Keys(AWS_ACCESS_KEY_ID="AKIDEXAMPLE", AWS_SECRET_ACCESS_KEY=SECRET)


def answer(request: ModelRequest) -> str | dict[str, Any] | ToolCall:
    """Answer as the servers' brain does."""
    last = request.messages[-1]
    if request.tools and "order" in last.content and last.role != "tool":
        return ToolCall(id="call_1", name=request.tools[0].name, arguments={"order_id": 4711})
    return dict(wire.SHAPE) if request.output_schema else str(wire.TEXT)


@pytest.fixture(params=[*HERE, *REMOTE])
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    async for built in build(request.param):
        yield built


@pytest.fixture(params=REMOTE)
async def remote(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    async for built in build(request.param):
        yield built


async def build(kind: str) -> AsyncIterator[Subject]:
    if kind in HERE:
        yield Subject(kind, in_process(kind), "greeter")
        return
    clock, transport = ManualClock(), HttpxTransport()
    dialects: dict[str, Callable[[], Any]] = {
        "openai": wire.OpenAi,
        "anthropic": wire.Anthropic,
        "bedrock": wire.Bedrock,
    }
    async with wire.WireServer(dialects[kind]()) as server:
        bearer = {"authorization": Secret(f"Bearer {SECRET}")}
        model: Model
        if kind == "openai":
            model, name = openai.build("p", f"{server.url}/v1", transport, clock, bearer), "gpt-4o"
        elif kind == "anthropic":
            headers = {"x-api-key": Secret(SECRET)}
            model = anthropic.build("p", f"{server.url}/v1", transport, clock, headers)
            name = "claude-3-haiku"
        else:
            signer = bedrock.sign_with_role(KEYS, "us-west-2", clock)
            model = bedrock.build("p", server.url, transport, clock, signer)
            name = "anthropic.claude-3-haiku-20240307-v1:0"
        yield Subject(kind, model, name, server)
        await transport.close()


def in_process(kind: str) -> Model:
    if kind == "rules":
        return RulesModel({"greeter": answer})
    if kind == "scripted":
        return Answering()
    return Replaying()


class Answering(ScriptedModel):
    """A script that is written while it is read."""

    def __init__(self) -> None:
        super().__init__([])

    async def complete(
        self, request: ModelRequest, *, deadline_ms: int | None = None
    ) -> ModelReply:
        self._replies.append(answer(request))
        return await super().complete(request, deadline_ms=deadline_ms)


class Replaying:
    """Records every answer first, then answers from the written recording
    alone.
    """

    provider = "recorded"

    async def complete(
        self, request: ModelRequest, *, deadline_ms: int | None = None
    ) -> ModelReply:
        return await (await self._recorded(request)).complete(request)

    async def stream(self, request: ModelRequest, *, deadline_ms: int | None = None) -> Any:
        async for chunk in (await self._recorded(request)).stream(request):
            yield chunk

    async def _recorded(self, request: ModelRequest) -> RecordedModel:
        recorder = RecordingModel(RulesModel({"greeter": answer}))
        await recorder.complete(request)
        written: list[Recording] = load(dump(recorder.recordings))
        return RecordedModel(written)


async def collect(model: Model, request: ModelRequest) -> tuple[list[str], ModelReply]:
    pieces, reply = [], None
    async for chunk in model.stream(request, deadline_ms=20_000):
        pieces.append(chunk.text)
        if chunk.reply is not None:
            assert reply is None, "two chunks carry the whole reply"
            reply = chunk.reply
    assert reply is not None
    return pieces, reply


async def test_a_question_gets_text(subject: Subject) -> None:
    reply = await subject.model.complete(subject.ask())
    assert reply.text == wire.TEXT
    assert reply.finish == "stop"
    assert reply.tool_calls == ()


async def test_the_pieces_of_a_stream_add_up_to_the_reply(subject: Subject) -> None:
    pieces, reply = await collect(subject.model, subject.ask())
    assert "".join(pieces) == reply.text == wire.TEXT
    assert len([piece for piece in pieces if piece]) > 3


async def test_streamed_and_whole_replies_are_equal(subject: Subject) -> None:
    for options in ({}, {"output_schema": SHAPE}, {"tools": (TOOL,)}):
        request = subject.ask("Where is my order?", **options)
        _, streamed = await collect(subject.model, request)
        whole = await subject.model.complete(request)
        assert msgspec.structs.replace(whole, text="") == msgspec.structs.replace(streamed, text="")
        if options.get("output_schema"):
            assert json.loads(whole.text) == json.loads(streamed.text)
        else:
            assert whole.text == streamed.text


async def test_a_tool_is_called_by_our_name_for_it(subject: Subject) -> None:
    request = subject.ask("Where is order 4711?", tools=(TOOL,))
    for reply in (
        await subject.model.complete(request),
        (await collect(subject.model, request))[1],
    ):
        (call,) = reply.tool_calls
        assert (call.name, call.arguments["order_id"]) == ("orders.status", 4711)
        assert reply.finish == "tool_calls"


async def test_the_answer_of_a_tool_is_understood(subject: Subject) -> None:
    asked = subject.ask("Where is order 4711?", tools=(TOOL,))
    (call,) = (await subject.model.complete(asked)).tool_calls
    history = (
        Message(role="system", content="Be brief."),
        *asked.messages,
        Message(role="assistant", tool_calls=(call,)),
        Message(role="tool", content='{"status": "sent"}', tool_call_id=call.id),
    )
    reply = await subject.model.complete(subject.ask(messages=history, tools=(TOOL,)))
    assert reply.text == wire.TEXT


async def test_a_shape_is_kept(subject: Subject) -> None:
    reply = await subject.model.complete(subject.ask(output_schema=SHAPE))
    assert json.loads(reply.text) == wire.SHAPE
    assert reply.finish == "stop"
    assert reply.tool_calls == ()


async def test_a_shape_and_tools_go_together(subject: Subject) -> None:
    tools = subject.ask("Where is order 4711?", tools=(TOOL,), output_schema=SHAPE)
    assert (await subject.model.complete(tools)).tool_calls
    other = subject.ask("What is the capital?", tools=(TOOL,), output_schema=SHAPE)
    reply = await subject.model.complete(other)
    assert json.loads(reply.text) == wire.SHAPE
    assert reply.tool_calls == ()


async def test_a_temperature_and_a_stop_are_accepted(remote: Subject) -> None:
    request = remote.ask(temperature=0.2, max_tokens=50, stop=("END",))
    assert (await remote.model.complete(request)).text == wire.TEXT
    sent = remote.server.seen[-1]
    assert b"0.2" in sent.body and b"END" in sent.body and b"50" in sent.body


async def test_what_runs_here_costs_nothing_and_says_so() -> None:
    for kind in HERE:
        async for subject in build(kind):
            reply = await subject.model.complete(subject.ask())
            assert reply.usage.cost_micros == 0


async def test_remote_tokens_are_counted_and_left_unpriced(remote: Subject) -> None:
    for reply in (
        await remote.model.complete(remote.ask()),
        (await collect(remote.model, remote.ask()))[1],
    ):
        usage = reply.usage
        assert usage.input_tokens == wire.INPUT_TOKENS
        assert usage.cached_tokens == wire.CACHED_TOKENS
        assert usage.output_tokens == wire.OUTPUT_TOKENS
        assert usage.cost_micros is None


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
async def test_a_stream_may_be_cut_anywhere(remote: Subject, size: int) -> None:
    remote.server.plan.append(wire.Fault(piece=size))
    pieces, reply = await collect(remote.model, remote.ask())
    assert "".join(pieces) == reply.text == wire.TEXT
    remote.server.plan.append(wire.Fault(piece=size))
    _, reply = await collect(remote.model, remote.ask("Where is my order?", tools=(TOOL,)))
    assert reply.tool_calls[0].arguments == {"order_id": 4711, "note": "ünï"}


STATUSES = [
    (400, ModelRefusedError),
    (401, ModelAuthenticationError),
    (403, ModelDeniedError),
    (404, ModelMissingError),
    (408, ModelUnavailableError),
    (409, ModelUnavailableError),
    (413, ModelRefusedError),
    (422, ModelRefusedError),
    (429, ModelLimitError),
    (500, ModelUnavailableError),
    (502, ModelUnavailableError),
    (503, ModelUnavailableError),
    (504, ModelUnavailableError),
    (529, ModelUnavailableError),
]


@pytest.mark.parametrize(("status", "expected"), STATUSES)
async def test_each_status_becomes_the_error_that_says_what_to_do(
    remote: Subject, status: int, expected: type[Exception]
) -> None:
    for stream in (False, True):
        remote.server.plan.append(wire.Fault(status=status))
        with pytest.raises(expected) as caught:
            if stream:
                await collect(remote.model, remote.ask())
            else:
                await remote.model.complete(remote.ask())
        assert type(caught.value) is expected
        assert f"no: {status}" in str(caught.value)


async def test_a_limit_says_how_long_to_wait(remote: Subject) -> None:
    remote.server.plan.append(wire.Fault(status=429, headers={"retry-after": "3"}))
    with pytest.raises(ModelLimitError) as caught:
        await remote.model.complete(remote.ask())
    assert caught.value.retry_after_ms == 3000


async def test_an_error_in_mid_stream_is_raised(remote: Subject) -> None:
    remote.server.plan.append(wire.Fault(mid_stream_error=True))
    with pytest.raises(ModelUnavailableError):
        await collect(remote.model, remote.ask())


async def test_an_answer_that_is_not_json_is_a_reply_error(remote: Subject) -> None:
    for body in (b"<html>login</html>", b'{"choices": [', b"[]", b"{}", b"\xff\xfe"):
        remote.server.plan.append(wire.Fault(body=body))
        with pytest.raises(ModelReplyError):
            await remote.model.complete(remote.ask())


async def test_a_stream_of_garbage_is_a_reply_error(remote: Subject) -> None:
    for body in (b"", b"data: {\n\n", b"\x00" * 40, b"data: []\n\n", b"data: {}\n\n"):
        remote.server.plan.append(wire.Fault(body=body))
        with pytest.raises(ModelReplyError):
            await collect(remote.model, remote.ask())


async def test_a_stream_cut_off_at_any_byte_is_never_taken_for_whole(remote: Subject) -> None:
    await collect(remote.model, remote.ask())
    probe = remote.server.seen[-1]
    _, data = remote.server.dialect.reply(probe, wire.Fault())
    for cut in range(0, len(data) - 60, 37):
        remote.server.plan.append(wire.Fault(cut_after=cut))
        with pytest.raises(ModelUnavailableError):
            await collect(remote.model, remote.ask())


async def test_a_stream_that_ends_politely_but_early_is_never_taken_for_whole(
    remote: Subject,
) -> None:
    await collect(remote.model, remote.ask())
    _, data = remote.server.dialect.reply(remote.server.seen[-1], wire.Fault())
    lengths = [0, len(data) // 4, len(data) // 2]
    if remote.kind == "bedrock":
        lengths.append(len(data) - 10)  # inside the last frame, after the reason to stop
    for length in lengths:
        remote.server.plan.append(wire.Fault(body=data[:length]))
        with pytest.raises(ModelReplyError):
            await collect(remote.model, remote.ask())


async def test_a_dropped_connection_is_unavailable(remote: Subject) -> None:
    remote.server.plan.append(wire.Fault(drop=True))
    with pytest.raises(ModelUnavailableError):
        await remote.model.complete(remote.ask())


async def test_an_absent_server_is_unavailable() -> None:
    transport = HttpxTransport()
    model = openai.build("p", "http://127.0.0.1:9/v1", transport, ManualClock(), {})
    with pytest.raises(ModelUnavailableError, match="cannot connect"):
        await model.complete(ModelRequest(model="m", messages=(Message(role="user"),)))
    await transport.close()


async def test_the_deadline_ends_a_silent_answer(remote: Subject) -> None:
    remote.server.plan.append(wire.Fault(hang=True))
    with pytest.raises(ModelDeadlineError):
        await remote.model.complete(remote.ask(), deadline_ms=30)
    await asyncio.wait_for(remote.server.hung_up.wait(), 5)


async def test_the_deadline_ends_a_stream_that_stalls(remote: Subject) -> None:
    await collect(remote.model, remote.ask())
    remote.server.plan.append(wire.Fault(stall_after=300))
    with pytest.raises(ModelDeadlineError):
        async for _ in remote.model.stream(remote.ask(), deadline_ms=60):
            pass
    await asyncio.wait_for(remote.server.hung_up.wait(), 5)


async def test_cancelling_hangs_up(remote: Subject) -> None:
    remote.server.plan.append(wire.Fault(hang=True))
    call = asyncio.create_task(remote.model.complete(remote.ask()))
    await asyncio.wait_for(remote.server.arrived.wait(), 5)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await asyncio.wait_for(remote.server.hung_up.wait(), 5)


async def test_leaving_a_stream_early_hangs_up(remote: Subject) -> None:
    remote.server.plan.append(wire.Fault(stall_after=1000))
    stream: Any = remote.model.stream(remote.ask())
    assert (await anext(stream)).text
    await stream.aclose()
    await asyncio.wait_for(remote.server.hung_up.wait(), 5)


async def test_connections_are_used_again(remote: Subject) -> None:
    for _ in range(5):
        await remote.model.complete(remote.ask())
    assert len(remote.server.seen) == 5
    assert len(remote.server._open) == 1


async def test_secrets_reach_the_server_and_nothing_else(remote: Subject) -> None:
    echo = json.dumps({"error": {"message": f"bad key {SECRET}", "type": "x"}, "message": SECRET})
    remote.server.plan.append(wire.Fault(status=401, body=echo.encode()))
    with pytest.raises(ModelAuthenticationError) as caught:
        await remote.model.complete(remote.ask())
    error = caught.value
    shown = f"{error!r} {error} {error.to_dict()} {error.private} {remote.model!r}"
    assert SECRET not in shown
    assert SECRET not in repr(vars(remote.model))
    if remote.kind != "bedrock":  # there the secret signs and never travels
        assert SECRET in " ".join(remote.server.seen[-1].headers.values())
    else:
        assert SECRET not in str(remote.server.seen[-1])


@pytest.fixture(scope="module")
def generator() -> Model:
    if local.lacking({}) is not None:
        pytest.skip("the extra 'local' is not installed")
    return local.build({})


@pytest.mark.slow
class TestLocalModel:
    """The same promises, kept by a real model on this machine."""

    async def test_text_streams_and_is_the_same_every_time(self, generator: Model) -> None:
        subject = Subject("local", generator, "smollm2-135m")
        request = subject.ask("Say hello.", max_tokens=12)
        pieces, reply = await collect(generator, request)
        assert "".join(pieces) == reply.text != ""
        assert (await generator.complete(request)).text == reply.text
        assert reply.usage.output_tokens > 0
        assert reply.usage.cost_micros == 0

    async def test_a_shape_is_kept(self, generator: Model) -> None:
        subject = Subject("local", generator, "smollm2-135m")
        request = subject.ask("Name the capital of France.", output_schema=SHAPE, max_tokens=60)
        reply = await generator.complete(request)
        assert set(json.loads(reply.text)) == {"city", "large"}

    async def test_a_tool_is_chosen_under_a_grammar(self, generator: Model) -> None:
        subject = Subject("local", generator, "smollm2-135m")
        request = subject.ask("Where is order 4711?", tools=(TOOL,), max_tokens=60)
        reply = await generator.complete(request)
        (call,) = reply.tool_calls
        assert call.name == "orders.status"
        assert isinstance(call.arguments["order_id"], int)

    async def test_the_deadline_ends_it_and_the_next_request_works(self, generator: Model) -> None:
        subject = Subject("local", generator, "smollm2-135m")
        with pytest.raises(ModelDeadlineError):
            await generator.complete(subject.ask("Write a story.", max_tokens=400), deadline_ms=50)
        assert (await generator.complete(subject.ask(max_tokens=4))).text

    async def test_cancelling_ends_it_and_the_loop_stays_free(self, generator: Model) -> None:
        subject = Subject("local", generator, "smollm2-135m")
        call = asyncio.create_task(generator.complete(subject.ask("Tell me.", max_tokens=400)))
        turns = 0
        while turns < 200:
            await asyncio.sleep(0)
            turns += 1
        assert not call.done()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    async def test_a_prompt_that_does_not_fit_is_refused(self, generator: Model) -> None:
        subject = Subject("local", generator, "smollm2-135m")
        with pytest.raises(ModelRefusedError, match="context"):
            await generator.complete(subject.ask("word " * 9000, max_tokens=4))

    async def test_a_schema_it_cannot_enforce_is_refused(self, generator: Model) -> None:
        subject = Subject("local", generator, "smollm2-135m")
        with pytest.raises(ModelRefusedError, match="schema"):
            await generator.complete(subject.ask(output_schema={"type": "nonsense"}))
