"""Operations: actions as a surface offers them, derived from their specs.

Pure. A surface reads these and never an action's function, so that all surfaces
agree on names, fields, types and documentation.
"""

from __future__ import annotations

import enum
import types
import typing
from typing import Any, Literal

import msgspec

from agentsquad.kernel.action import Action
from agentsquad.kernel.registry import Registry


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One input field: `kind` is text, integer, number, flag, choice, list or
    json."""

    name: str
    kind: str
    required: bool
    default: Any = None
    description: str = ""
    examples: tuple[Any, ...] = ()
    choices: tuple[str, ...] = ()
    positional: bool = False

    @property
    def flag(self) -> str:
        """The option's spelling on a command line."""
        return "--" + self.name.rstrip("_").replace("_", "-")


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One action as offered: its path of words, its fields and its words for
    people."""

    action: str
    path: tuple[str, ...]
    summary: str
    description: str
    effect: str
    fields: tuple[Field, ...]
    examples: tuple[str, ...]

    @property
    def example(self) -> str:
        """One line that a person can type."""
        if self.examples:
            return self.examples[0]
        words = ["squad", *self.path]
        for field in self.fields:
            if not field.required:
                continue
            shown = str(field.examples[0]) if field.examples else field.name.upper()
            words += [shown] if field.positional else [field.flag, shown]
        return " ".join(words)


def operations(registry: Registry) -> list[Operation]:
    """Return every operation a person can reach, in the order of their
    paths."""
    found = [operation(action) for action in registry.actions.values() if action.spec.cli != ()]
    return sorted(found, key=lambda op: op.path)


def operation(action: Action) -> Operation:
    """Return one action as an operation."""
    spec = action.spec
    return Operation(
        action=spec.name,
        path=spec.cli or tuple(spec.name.split(".", 1)),
        summary=spec.summary,
        description=spec.description,
        effect=spec.effect.value,
        fields=fields(spec.input, spec.positional),
        examples=spec.examples,
    )


def fields(shape: Any, positional: tuple[str, ...] = ()) -> tuple[Field, ...]:
    """Return the fields of an input type; positional ones first, in their
    order."""
    if not (isinstance(shape, type) and issubclass(shape, msgspec.Struct)):
        return ()
    hints = typing.get_type_hints(shape, include_extras=True)
    found = [
        _field(info, hints[info.name], info.name in positional)
        for info in msgspec.structs.fields(shape)
    ]
    rank = {name: place for place, name in enumerate(positional)}
    found.sort(key=lambda field: rank.get(field.name, len(rank)))
    return tuple(found)


def _field(info: msgspec.structs.FieldInfo, hint: Any, positional: bool) -> Field:
    meta = [m for m in getattr(hint, "__metadata__", ()) if isinstance(m, msgspec.Meta)]
    plain = typing.get_args(hint)[0] if meta else hint
    kind, choices = _kind(plain)
    default = None if info.default is msgspec.NODEFAULT else info.default
    if info.default_factory is not msgspec.NODEFAULT:
        default = info.default_factory()
    return Field(
        name=info.name,
        kind=kind,
        required=info.required,
        default=default,
        description=next((m.description for m in meta if m.description), ""),
        examples=tuple(e for m in meta for e in m.examples or ()),
        choices=choices,
        positional=positional,
    )


_KINDS: dict[Any, str] = {str: "text", int: "integer", float: "number", bool: "flag"}


def _kind(hint: Any) -> tuple[str, tuple[str, ...]]:
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        inner = [arg for arg in typing.get_args(hint) if arg is not type(None)]
        return _kind(inner[0]) if len(inner) == 1 else ("json", ())
    if origin is Literal:
        return "choice", tuple(str(arg) for arg in typing.get_args(hint))
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return "choice", tuple(str(member.value) for member in hint)
    if origin in (tuple, list):
        return "list", ()
    if origin is typing.Annotated:
        return _kind(typing.get_args(hint)[0])
    return _KINDS.get(hint, "json"), ()
