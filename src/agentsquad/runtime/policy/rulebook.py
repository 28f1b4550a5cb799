"""Rulebook: which files take part, one data document, and the digest of it all.

Pure. Files of a higher layer replace those of the same name below, so a user
can put an own `p2p/limits.rego` in place of the shipped one; data of a higher
layer overrides single values, so changing one limit takes one line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from agentsquad.kernel import canonical
from agentsquad.kernel.errors import InvalidError
from agentsquad.kernel.hashing import digest
from agentsquad.kernel.registry import Plugin
from agentsquad.runtime.policy.contract import (
    PolicyDataError,
    PolicyFile,
    PolicyInvalidError,
    Problem,
)

RESERVED = "squad"
"""The package and data root that only the product itself may fill."""

_SEGMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


class Rulebook:
    """The files that take part, rules apart from data."""

    def __init__(self, files: Sequence[PolicyFile]) -> None:
        self.files = settle(files)
        self.modules = tuple(file for file in self.files if file.is_rego)
        self.data = merge([(file, document(file)) for file in self.files if not file.is_rego])
        self.revision = digest([[file.layer, file.name, digest(file.text)] for file in self.files])


def files_of(plugins: Iterable[Plugin]) -> tuple[PolicyFile, ...]:
    """Return the files that plugins bring along."""
    found = []
    for plugin in plugins:
        for name, text in plugin.policies.items():
            origin = f"plugin:{plugin.name}"
            found.append(PolicyFile(name=name, text=text, origin=origin, layer=1))
    return tuple(found)


def settle(files: Sequence[PolicyFile]) -> tuple[PolicyFile, ...]:
    """Return the files in load order, the shadowed ones left out."""
    chosen: dict[str, PolicyFile] = {}
    for file in sorted(files, key=lambda file: (file.layer, file.name, file.origin)):
        if not file.name.endswith((".rego", ".json")):
            raise PolicyInvalidError(
                [_problem(file, "neither rules nor data", "name it *.rego or *.json")]
            )
        below = chosen.get(file.name)
        if below is not None and below.layer == file.layer:
            raise PolicyDataError(
                f"{file.name} comes from {below.origin} and from {file.origin}",
                hint="put each plugin's files in a folder of its own",
            )
        if below is None or file.is_rego:
            chosen[file.name] = file
        else:  # data adds up value by value instead of being replaced
            chosen[f"{file.name}\0{file.layer}"] = file
    return tuple(sorted(chosen.values(), key=lambda file: (file.layer, file.name)))


def document(file: PolicyFile) -> dict[str, Any]:
    """Return what a data file adds to `data`.

    `a/b/data.json` adds below `data.a.b`, as in an OPA bundle; any other name
    adds at the top.
    """
    try:
        value = canonical.loads(file.text)
    except InvalidError as error:
        raise PolicyInvalidError(
            [
                Problem(
                    file=file.name,
                    line=error.details.get("line", 1),
                    column=error.details.get("column", 1),
                    message=error.message,
                    hint=error.hint or "expected one JSON object",
                )
            ]
        ) from None
    *folders, name = file.name.split("/")
    if name == "data.json":
        for folder in reversed(folders):
            value = {folder: value}
    if not isinstance(value, dict):
        raise PolicyInvalidError([_problem(file, "is not a JSON object", 'write {"name": …}')])
    for key in value:
        if key == RESERVED:
            raise PolicyInvalidError(
                [_problem(file, f"data.{key} belongs to the product", "choose another name")]
            )
    return value


def merge(documents: Sequence[tuple[PolicyFile, Mapping[str, Any]]]) -> dict[str, Any]:
    """Return one document; within a layer nothing may be said twice."""
    whole: dict[str, Any] = {}
    said_by: dict[tuple[str, ...], PolicyFile] = {}
    for file, part in documents:
        _merge(whole, part, (), file, said_by)
    return whole


def _merge(
    into: dict[str, Any],
    part: Mapping[str, Any],
    path: tuple[str, ...],
    file: PolicyFile,
    said_by: dict[tuple[str, ...], PolicyFile],
) -> None:
    for key, value in part.items():
        here = (*path, key)
        old = into.get(key)
        if isinstance(value, dict) and isinstance(old, dict):
            _merge(old, value, here, file, said_by)
            continue
        before = _speaker(said_by, here) if key in into and old != value else None
        if before is not None and before.layer == file.layer:
            raise PolicyDataError(
                f"data.{'.'.join(here)} differs between {before.name} and {file.name}",
                hint="say it in one file only, or override it from the policy folder",
            )
        said_by[here] = file
        into[key] = _copy(value)
        if isinstance(value, dict):
            _claim(value, here, file, said_by)


def _speaker(
    said_by: Mapping[tuple[str, ...], PolicyFile], path: tuple[str, ...]
) -> PolicyFile | None:
    """Return who said something at or below a path, the latest layer first."""
    below = [file for where, file in said_by.items() if where[: len(path)] == path]
    return max(below, key=lambda file: file.layer, default=None)


def _claim(
    value: Mapping[str, Any],
    path: tuple[str, ...],
    file: PolicyFile,
    said_by: dict[tuple[str, ...], PolicyFile],
) -> None:
    for key, inner in value.items():
        said_by[(*path, key)] = file
        if isinstance(inner, dict):
            _claim(inner, (*path, key), file, said_by)


def _copy(value: Any) -> Any:
    return {key: _copy(inner) for key, inner in value.items()} if isinstance(value, dict) else value


def contradictions(data: Mapping[str, Any], rules: Iterable[tuple[str, str]]) -> list[str]:
    """Return the rules `(package, name)` that data would silently replace.

    The engine prefers data to a rule of the same path, so this must never load.
    """
    found = []
    for package, name in rules:
        path = (*package.split("."), *name.split("."))
        at: Any = data
        for key in path:
            if not isinstance(at, Mapping) or key not in at:
                break
            at = at[key]
        else:
            found.append(".".join(path))
    return found


def prefixes(actions: Sequence[str] | None) -> tuple[str, ...]:
    """Return what `data.squad.subject` must start with; a space ends a name."""
    if actions is None:
        return ("",)
    return tuple(name.removesuffix("*") if name.endswith("*") else f"{name} " for name in actions)


def is_path(text: str) -> bool:
    """Whether a text is a plain rule path such as data.p2p.matching.result."""
    root, *rest = text.split(".")
    return root == "data" and bool(rest) and all(_SEGMENT.fullmatch(part) for part in rest)


def _problem(file: PolicyFile, message: str, hint: str) -> Problem:
    return Problem(file=file.name, line=1, column=1, message=message, hint=hint)
