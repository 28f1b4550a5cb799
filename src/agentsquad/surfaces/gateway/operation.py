"""Operations: actions as a surface offers them, derived from their specs.

Pure. A surface reads these and never an action's function, so that all surfaces
agree on names, fields, types and documentation. They are plain data, so that a
distribution can keep them written down (`dump`, `load`) and answer questions
about itself without loading what carries anything out.
"""

from __future__ import annotations

import enum
import types
import typing
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from agentsquad.surfaces.gateway.contract import Field, Operation

if TYPE_CHECKING:
    from agentsquad.kernel.action import Action
    from agentsquad.kernel.registry import Registry

__all__ = ["Field", "Operation", "dump", "fields", "load", "operation", "operations"]


def dump(found: Iterable[Operation]) -> bytes:
    """Write operations down as JSON that `load` reads, one a line."""
    lines = [msgspec.json.encode(one).decode() for one in found]
    return ("[\n" + ",\n".join(lines) + "\n]\n").encode()


def load(text: bytes) -> list[Operation]:
    """Read what `dump` wrote."""
    return msgspec.json.decode(text, type=list[Operation])


def operations(registry: Registry) -> list[Operation]:
    """Return every operation a person can reach, in the order of their
    paths."""
    found = [operation(action) for action in registry.actions.values() if action.spec.cli != ()]
    return sorted(found, key=lambda op: op.path)


def operation(action: Action) -> Operation:
    """Return one action as an operation, its values plain JSON."""
    spec = action.spec
    found = Operation(
        action=spec.name,
        path=spec.cli or tuple(spec.name.split(".", 1)),
        summary=spec.summary,
        description=spec.description,
        effect=spec.effect.value,
        fields=fields(spec.input, spec.positional, spec.files),
        examples=spec.examples,
        realm=spec.realm,
        local=spec.local,
    )
    return msgspec.json.decode(msgspec.json.encode(found), type=Operation)


def fields(
    shape: Any,
    positional: tuple[str, ...] = (),
    files: Mapping[str, Literal["in", "out", "json"]] | None = None,
) -> tuple[Field, ...]:
    """Return the fields of an input type; positional ones first, in their
    order."""
    if not (isinstance(shape, type) and issubclass(shape, msgspec.Struct)):
        return ()
    hints = typing.get_type_hints(shape, include_extras=True)
    found = [
        msgspec.structs.replace(
            _field(info, hints[info.name], info.name in positional),
            file=(files or {}).get(info.encode_name, ""),
        )
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
        name=info.encode_name,
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
