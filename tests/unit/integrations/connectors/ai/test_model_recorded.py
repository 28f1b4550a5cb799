"""Replies given beforehand: by rule, by script and by recording."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentsquad.integrations.connectors.ai.contract import (
    ModelMissingError,
    ProviderError,
    RecordingMissingError,
    RuleFailedError,
    ScriptExhaustedError,
)
from agentsquad.integrations.connectors.ai.recorded.recorded import (
    RecordedModel,
    Recording,
    RecordingModel,
    dump,
    load,
    request_hash,
)
from agentsquad.integrations.connectors.ai.rules.rules import RulesModel
from agentsquad.integrations.connectors.ai.scripted.scripted import ScriptedModel
from agentsquad.integrations.connectors.ai.short import chunks_of
from agentsquad.kernel.errors import IntegrityError, InvalidError
from agentsquad.workforce.agents.contract import Message, ModelReply, ModelRequest


def ask(text: str = "hi", **options: object) -> ModelRequest:
    return ModelRequest(
        model="m",
        messages=(Message(role="user", content=text),),
        **options,  # type: ignore[arg-type]
    )


async def test_the_same_question_twice_gives_both_recorded_answers_in_order() -> None:
    recorder = RecordingModel(ScriptedModel(["one", "other", "two"]))
    for text in ("q", "else", "q"):
        await recorder.complete(ask(text))
    replay = RecordedModel(load(dump(recorder.recordings)))
    assert [(await replay.complete(ask("q"))).text for _ in range(2)] == ["one", "two"]
    assert (await replay.complete(ask("else"))).text == "other"
    assert replay.left == 0


async def test_a_miss_is_an_integrity_error_and_says_which() -> None:
    replay = RecordedModel(
        [Recording(request=request_hash(ask()), reply=ModelReply(model="m", text="x"))]
    )
    await replay.complete(ask())
    with pytest.raises(RecordingMissingError, match="no further answer") as caught:
        await replay.complete(ask())
    assert isinstance(caught.value, IntegrityError)
    with pytest.raises(RecordingMissingError, match="no answer"):
        await replay.complete(ask("changed"))


async def test_streams_are_recorded_whole() -> None:
    recorder = RecordingModel(ScriptedModel(["one two"]))
    async for _ in recorder.stream(ask()):
        pass
    assert recorder.recordings[0].reply.text == "one two"


def test_everything_that_determines_an_answer_changes_the_hash() -> None:
    variants = [
        ask(),
        ask("other"),
        ask(temperature=0.0),
        ask(temperature=0.5),
        ask(max_tokens=5),
        ask(seed=1),
        ask(stop=("x",)),
        ask(output_schema={"type": "object"}),
    ]
    assert len({request_hash(request) for request in variants}) == len(variants)
    assert request_hash(ask()) == request_hash(ask())


def test_a_file_that_is_no_recording_names_its_line() -> None:
    with pytest.raises(ProviderError, match="line 2"):
        load(b'\n{"request": 5}\n')


async def test_a_script_that_is_over_says_how_long_it_was() -> None:
    model = ScriptedModel(["a", InvalidError("b")])
    assert (await model.complete(ask())).text == "a"
    with pytest.raises(InvalidError, match="b"):
        await model.complete(ask())
    with pytest.raises(ScriptExhaustedError, match="2 replies, and this is request 3"):
        await model.complete(ask())


async def test_rules_are_found_by_name_and_their_failures_are_named() -> None:
    def broken(request: ModelRequest) -> str:
        raise KeyError("gone")

    model = RulesModel({"m": lambda request: {"b": 1, "a": 2}, "broken": broken})
    assert (await model.complete(ask())).text == '{"a":2,"b":1}'
    with pytest.raises(RuleFailedError, match="broken"):
        await model.complete(ModelRequest(model="broken", messages=()))
    with pytest.raises(ModelMissingError) as caught:
        await model.complete(ModelRequest(model="brokn", messages=()))
    assert "broken" in str(caught.value.hint)


@given(st.text())
def test_any_text_survives_being_cut_into_pieces(text: str) -> None:
    chunks = list(chunks_of(ModelReply(model="m", text=text)))
    assert "".join(chunk.text for chunk in chunks) == text
    assert [chunk.reply is not None for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
