"""Models on this machine: what they are asked, and that their weights are the
pinned ones.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from agentsquad.integrations.connectors.ai.contract import (
    ModelExtraError,
    ModelReplyError,
    ProviderError,
    WeightsError,
)
from agentsquad.integrations.connectors.ai.local import plugin as local
from agentsquad.integrations.connectors.ai.local.adapters import files
from agentsquad.integrations.connectors.ai.local.prompt import Prompt
from agentsquad.integrations.connectors.ai.local.weights import Weights
from agentsquad.kernel.hashing import digest_bytes
from agentsquad.workforce.agents.contract import (
    Embedder,
    Message,
    ModelRequest,
    ToolCall,
    ToolSpec,
    Usage,
)

TOOL = ToolSpec(
    name="orders.status",
    description="look up an order",
    schema={
        "$ref": "#/$defs/In",
        "$defs": {
            "In": {
                "type": "object",
                "properties": {"order_id": {"type": "integer"}},
                "required": ["order_id"],
            }
        },
    },
)
SHAPE = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}


def prompt(**options: Any) -> Prompt:
    messages = options.pop("messages", (Message(role="user", content="Where is 4711?"),))
    return Prompt(ModelRequest(model="m", messages=messages, **options))


def test_tools_become_one_choice_under_a_schema() -> None:
    body = prompt(tools=(TOOL,)).encode()
    schema = body["response_format"]["json_schema"]["schema"]
    good = {"tool": "orders__status", "args": {"order_id": 4711}}
    assert jsonschema_rs.is_valid(schema, good)
    assert jsonschema_rs.is_valid(schema, {"tool": "answer", "args": {"text": "hello"}})
    assert not jsonschema_rs.is_valid(schema, {"tool": "orders__status", "args": {"text": "x"}})
    assert not jsonschema_rs.is_valid(schema, {"tool": "invented", "args": {}})
    assert "orders__status(order_id): look up an order" in body["messages"][0]["content"]


def test_a_system_message_and_the_tools_are_one() -> None:
    messages = (Message(role="system", content="Be brief."), Message(role="user", content="x"))
    sent = prompt(messages=messages, tools=(TOOL,)).encode()["messages"]
    assert [message["role"] for message in sent] == ["system", "user"]
    assert sent[0]["content"].startswith("Be brief.\n\n")


def test_a_choice_is_read_back_as_a_call_or_an_answer() -> None:
    asked = prompt(tools=(TOOL,))
    text = '{"tool": "orders__status", "args": {"order_id": 4711}}'
    reply = asked.reply("m", text, "stop", Usage())
    assert reply.tool_calls[0].name == "orders.status"
    assert (reply.finish, reply.text) == ("tool_calls", "")
    text = '{"tool": "answer", "args": {"text": "hello"}}'
    assert asked.reply("m", text, "stop", Usage()).text == "hello"
    shaped = prompt(tools=(TOOL,), output_schema=SHAPE)
    text = '{"tool": "answer", "args": {"ok": true}}'
    assert json.loads(shaped.reply("m", text, "stop", Usage()).text) == {"ok": True}


def test_a_choice_that_was_cut_off_stays_text() -> None:
    reply = prompt(tools=(TOOL,)).reply("m", '{"tool": "ord', "length", Usage())
    assert (reply.text, reply.finish, reply.tool_calls) == ('{"tool": "ord', "length", ())


def test_a_choice_that_is_none_is_a_reply_error() -> None:
    for text in ("{}", '{"tool": 5, "args": {}}', "no"):
        with pytest.raises(ModelReplyError):
            prompt(tools=(TOOL,)).reply("m", text, "stop", Usage())


def test_history_with_tools_is_told_in_plain_turns() -> None:
    call = ToolCall(id="1", name="orders.status", arguments={"order_id": 1})
    messages = (
        Message(role="user", content="x"),
        Message(role="assistant", tool_calls=(call,)),
        Message(role="tool", content="sent", tool_call_id="1"),
    )
    sent = prompt(messages=messages).encode()["messages"]
    assert [message["role"] for message in sent] == ["user", "assistant", "user"]
    assert json.loads(sent[1]["content"]) == {"tool": "orders__status", "args": {"order_id": 1}}


def test_without_a_temperature_the_answer_is_the_same_every_time() -> None:
    body = prompt().encode()
    assert (body["temperature"], body["cache_prompt"]) == (0.0, False)


def test_weights_that_are_not_the_pinned_ones_are_never_loaded(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(b"weights")
    assert files.check(file, digest_bytes(b"weights")) == file
    file.write_bytes(b"weight5")
    with pytest.raises(WeightsError, match="pinned"):
        files.check(file, digest_bytes(b"weights"))
    with pytest.raises(WeightsError, match="cannot be read"):
        files.check(tmp_path / "gone", digest_bytes(b""))


def test_a_package_that_is_not_there_names_the_extra() -> None:
    with pytest.raises(ModelExtraError, match=r"agentsquad\[local\]"):
        files.folder_of(Weights(name="x", module="no_such_weights", files={}))


def test_settings_that_make_no_sense_are_refused() -> None:
    if local.lacking({}) is not None:
        pytest.skip("the extra 'local' is not installed")
    with pytest.raises(ProviderError, match="SQUAD_LOCAL_THREADS"):
        local.build({"SQUAD_LOCAL_THREADS": "many"})


async def test_a_named_file_that_is_missing_is_said_when_it_is_needed() -> None:
    if local.lacking({}) is not None:
        pytest.skip("the extra 'local' is not installed")
    model = local.build({"SQUAD_LOCAL_MODEL": "/no/such.gguf"})
    with pytest.raises(ProviderError, match=r"no/such\.gguf"):
        await model.complete(ModelRequest(model="m", messages=(Message(role="user"),)))


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    if local.lacking({}) is not None:
        pytest.skip("the extra 'local' is not installed")
    return local.build_embedder({})


@pytest.mark.slow
class TestEmbedder:
    """The sentence transformer in numpy."""

    async def test_vectors_are_of_unit_length_and_in_order(self, embedder: Embedder) -> None:
        texts = ["a", "a much longer text about invoices and boxes " * 9, "b", "", "a"]
        vectors = await embedder.embed(texts)
        assert [len(vector) for vector in vectors] == [embedder.size] * 5
        assert all(abs(math.hypot(*vector) - 1) < 1e-5 for vector in vectors)
        assert similarity(vectors[0], vectors[4]) > 0.9999
        assert await embedder.embed([]) == []

    async def test_a_text_embeds_alike_alone_and_in_a_batch(self, embedder: Embedder) -> None:
        texts = [f"invoice line {n}: {'widget ' * n}" for n in range(40)]
        together = await embedder.embed(texts)
        for index in (0, 17, 39):
            (alone,) = await embedder.embed([texts[index]])
            assert similarity(alone, together[index]) > 0.9999

    async def test_descriptions_of_one_thing_are_nearest(self, embedder: Embedder) -> None:
        ordered = ["HEX BOLT M8X40 ZINC", "A4 copy paper 80 gsm, white", "Ballpoint pen blue"]
        billed = [
            "printing paper white A4 80g",
            "pens, ball point, blue ink",
            "bolt hexagon M8 40mm",
        ]
        left, right = await embedder.embed(ordered), await embedder.embed(billed)
        nearest = [max(range(3), key=lambda j: similarity(v, right[j])) for v in left]
        assert nearest == [2, 0, 1]

    async def test_known_similarities_of_the_published_model(self, embedder: Embedder) -> None:
        """Compare with values the model's authors print in their
        documentation.
        """
        texts = [
            "The weather is lovely today.",
            "It's so sunny outside!",
            "He drove to the stadium.",
        ]
        a, b, c = await embedder.embed(texts)
        assert abs(similarity(a, b) - 0.6660) < 0.001
        assert abs(similarity(a, c) - 0.1046) < 0.001
        assert abs(similarity(b, c) - 0.1411) < 0.001


def similarity(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))
