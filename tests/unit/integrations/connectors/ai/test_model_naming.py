"""Tool names: ours have dots, theirs may not; both directions are exact."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from agentsquad.integrations.connectors.ai.naming import ToolNames
from agentsquad.workforce.agents.contract import Message, ModelRequest, ToolCall, ToolSpec


def request(names: list[str]) -> ModelRequest:
    return ModelRequest(
        model="m",
        messages=(Message(role="user"),),
        tools=tuple(ToolSpec(name=name, description="", schema={}) for name in names),
    )


@given(st.lists(st.text(min_size=1, max_size=90), unique=True, max_size=12))
def test_every_name_is_allowed_and_comes_back(names: list[str]) -> None:
    mapped = ToolNames(request(names))
    reserved = mapped.reserve("answer")
    wires = [mapped.outward(name) for name in names]
    assert len({*wires, reserved}) == len(names) + 1
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", wire) for wire in wires)
    assert [mapped.inward(wire) for wire in wires] == names


def test_the_usual_name_stays_readable() -> None:
    assert ToolNames(request(["edi.check"])).outward("edi.check") == "edi__check"


def test_names_that_look_alike_stay_apart() -> None:
    mapped = ToolNames(request(["a.b", "a__b", "a b"]))
    assert len({mapped.outward(name) for name in ("a.b", "a__b", "a b")}) == 3


def test_tools_of_the_history_are_mapped_though_no_longer_offered() -> None:
    call = ToolCall(id="1", name="old.tool", arguments={})
    said = Message(role="assistant", tool_calls=(call,))
    mapped = ToolNames(ModelRequest(model="m", messages=(said,)))
    assert mapped.outward("old.tool") == "old__tool"


def test_an_invented_name_comes_back_as_it_is() -> None:
    assert ToolNames(request(["a.b"])).inward("made_up") == "made_up"
