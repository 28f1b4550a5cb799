"""Operations: what a spec says, as data that can be written down."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.registry import Plugin, Registry
from agentsquad.surfaces.gateway.operation import dump, load, operation, operations


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class In(msgspec.Struct, kw_only=True):
    files: Annotated[tuple[str, ...], Meta(description="paths", examples=[["a b.edi"]])]
    run: str
    count: int | None = None
    colour: Colour = Colour.RED
    mode: Literal["x", "y"] = "x"
    body: dict[str, Any] = {}
    wait: bool = True
    from_: float = 0.5


@action("paint.files", effect=Effect.WRITE, positional=("run", "files"))
def paint(ctx: Any, value: In) -> None:
    """Paint files.

    Twice.
    """


@action("paint.hidden", effect=Effect.READ, cli=())
def hidden(ctx: Any, value: In) -> None:
    """Not for the command line."""


def test_a_spec_becomes_words_fields_and_an_example() -> None:
    op = operation(paint)
    assert (op.path, op.summary, op.description) == (("paint", "files"), "Paint files.", "Twice.")
    assert [(field.name, field.kind) for field in op.fields] == [
        ("run", "text"),
        ("files", "list"),
        ("count", "integer"),
        ("colour", "choice"),
        ("mode", "choice"),
        ("body", "json"),
        ("wait", "flag"),
        ("from_", "number"),
    ]
    assert op.fields[3].choices == ("red", "blue")
    assert op.fields[-1].flag == "--from"
    assert op.example == "squad paint files kooa4lnr33 'a b.edi'"


def test_operations_survive_being_written_down() -> None:
    found = operations(Registry.of(Plugin(name="paint", actions=(paint, hidden))))
    assert [op.action for op in found] == ["paint.files"]
    assert load(dump(found)) == found
    assert dump(load(dump(found))) == dump(found)
