"""Manifest: read resources from YAML or JSON and check them by kind.

Values follow the JSON types of YAML 1.2, not the guesses of YAML 1.1: `on`,
`no`, `12:30` and `2026-01-01` are strings, a leading zero is kept. Every node's
line is remembered, so each error names file, line and path.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn, TypeVar

import msgspec

from agentsquad.kernel.errors import InvalidError, MissingError
from agentsquad.kernel.pointer import get, join, parse
from agentsquad.kernel.resource import API_VERSION, SENSITIVE, Kind, Metadata, Resource
from agentsquad.kernel.schema import Problem, found_text, problems, schema_at
from agentsquad.kernel.spelling import closest

T = TypeVar("T")

DEPTH_MAX = 64
NODES_MAX = 200_000

_NAME = "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
_TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
ENVELOPE: Mapping[str, Any] = {
    "type": "object",
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "additionalProperties": False,
    "properties": {
        "apiVersion": {"const": API_VERSION},
        "kind": {"type": "string", "examples": ["Agent"]},
        "metadata": {
            "type": "object",
            "required": ["name"],
            "additionalProperties": False,
            "examples": [{"name": "matcher"}],
            "properties": {
                "name": {
                    "type": "string",
                    "pattern": _NAME,
                    "title": "a DNS label: a-z, 0-9 and '-', at most 63 characters",
                    "examples": ["invoice-matcher"],
                },
                "labels": _TEXTS,
                "annotations": _TEXTS,
            },
        },
        "spec": {"type": "object"},
        "status": {"type": "object"},
    },
}


class ManifestError(InvalidError):
    """A manifest is not valid; `details["errors"]` lists what and where."""

    code = "manifest.invalid"

    def __init__(self, errors: list[dict[str, Any]]) -> None:
        """`errors` are objects of file, line, path, expected, found and fix."""
        first, more = errors[0], len(errors) - 1
        message = _sentence(first) + (f" (and {more} more)" if more else "")
        super().__init__(message, hint=first["fix"], details={"errors": errors})


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """One document: its value, and the line of each JSON Pointer in it."""

    file: str
    line: int
    value: Any
    lines: Mapping[str, int]
    raw: Mapping[str, str]

    def line_of(self, pointer: str) -> int:
        """Return the line of a place, or of the nearest place around it."""
        while pointer and pointer not in self.lines:
            pointer = pointer.rpartition("/")[0]
        return self.lines.get(pointer, self.line)


def load(text: str, *, file: str, kinds: Mapping[str, Kind]) -> list[Resource]:
    """Return a text's resources, or raise ManifestError with every error."""
    documents = read(text, file)
    if not documents:
        raise ManifestError([_error(file, 1, "", "at least one resource", "nothing", _START)])
    errors = [error for document in documents for error in check(document, kinds)]
    if errors:
        raise ManifestError(sorted(errors, key=lambda error: int(error["line"])))
    return [_resource(document.value, kinds) for document in documents]


def check(document: Document, kinds: Mapping[str, Kind]) -> list[dict[str, Any]]:
    """Return what is wrong with one document, as `ManifestError` lists it."""
    value = document.value
    if not isinstance(value, Mapping):
        return [_error(document.file, document.line, "", "a resource", found_text(value), _START)]
    name = value.get("kind")
    at, spec = _spec(value, kinds.get(name) if isinstance(name, str) else None)
    found = problems(ENVELOPE, _enveloped(value, at, spec))
    if isinstance(name, str) and name not in kinds:
        known = ", ".join(sorted(kinds))
        meant = closest(name, sorted(kinds))
        found.append(
            Problem(
                at="/kind",
                expected=f"one of {known}",
                found=found_text(name),
                fix=f"did you mean {meant!r}?" if meant else f"choose one of {known}",
            )
        )
    elif isinstance(name, str) and isinstance(spec, Mapping):
        found += [problem.within(at) for problem in check_spec(kinds[name], spec)]
    return [_located(document, problem) for problem in found]


def check_spec(kind: Kind, spec: Mapping[str, Any]) -> list[Problem]:
    """Return what is wrong with a spec: by schema, then by the kind's check."""
    found = problems(kind.schema, spec)
    if found or kind.check is None:
        return found
    return [
        Problem(at=at, expected=message, found=_found_at(kind, spec, at), fix=hint, keyword="check")
        for at, message, hint in kind.check(spec)
    ]


def read(text: str, file: str = "<text>") -> list[Document]:
    """Return the documents of YAML or JSON; ManifestError if it is neither.

    Duplicate keys, unknown tags, aliases that explode and deep nesting are
    refused. Empty documents are skipped; a list, as `squad get` prints one, is
    read as its items.
    """
    import yaml

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    if text.lstrip()[:1] in ("{", "["):
        text = _join_surrogates(text)
    try:
        events = yaml.parse(text, Loader=loader)
        documents = list(_Builder(iter(events), file).documents())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        problem = "what is neither: " + (error.problem or "text that cannot be read")
        if error.context:
            problem += f" ({error.context})"
        raise ManifestError(
            [_error(file, line, "", "YAML or JSON", problem, "check indentation and quotes")]
        ) from None
    except (yaml.YAMLError, UnicodeEncodeError) as error:
        raise ManifestError(
            [_error(file, 1, "", "YAML or JSON", str(error), "save the file as UTF-8 text")]
        ) from None
    return [part for document in documents for part in _items(document)]


def path_text(pointer: str) -> str:
    """Return a pointer as people write it: spec.graph.nodes[1].dependsOn."""
    text = ""
    for step in parse(pointer):
        if step.isdecimal():
            text += f"[{step}]"
        elif re.fullmatch(r"[\w$-]+", step):
            text += f".{step}" if text else step
        else:
            text += f"[{msgspec.json.encode(step).decode()}]"
    return text


_START = f"start with apiVersion: {API_VERSION}, kind, metadata and spec"
_NULL = r"(?:~|null|Null|NULL|)"
_BOOL = r"(?:true|True|TRUE|(false|False|FALSE))"
_INT = r"[-+]?(?:0|[1-9][0-9]*)"
_FLOAT = r"[-+]?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?"
_TAG = "tag:yaml.org,2002:"


class _Builder:
    """Builds values from parser events, keeping the line of every node."""

    def __init__(self, events: Iterator[Any], file: str) -> None:
        self._events = events
        self._file = file
        self._lines: dict[str, int] = {}
        self._raw: dict[str, str] = {}
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._nodes = 0

    def documents(self) -> Iterator[Document]:
        """Yield each document that is not empty."""
        for event in self._events:
            if type(event).__name__ != "DocumentStartEvent":
                continue
            self._lines, self._raw, self._anchors = {}, {}, {}
            first = next(self._events)
            value = self._node(first, "", 0)
            if value is not None:
                line = first.start_mark.line + 1
                yield Document(
                    file=self._file, line=line, value=value, lines=self._lines, raw=self._raw
                )

    def _node(self, event: Any, at: str, depth: int) -> Any:
        line = event.start_mark.line + 1
        self._lines.setdefault(at, line)
        if depth > DEPTH_MAX:
            self._refuse(line, at, f"at most {DEPTH_MAX} levels", "more", "flatten it")
        before = self._nodes
        self._count(1, line, at)
        kind = type(event).__name__
        if kind == "AliasEvent":
            if event.anchor not in self._anchors:
                self._refuse(
                    line, at, "a finished anchor", f"*{event.anchor}", "write the value out"
                )
            value, size = self._anchors[event.anchor]
            self._count(size, line, at)
            return value
        if kind == "ScalarEvent":
            value = self._scalar(event, line, at)
        elif kind == "MappingStartEvent":
            self._check_tag(event, ("map",), line, at)
            value = self._mapping(at, depth)
        else:
            self._check_tag(event, ("seq",), line, at)
            value = []
            while type(item := next(self._events)).__name__ != "SequenceEndEvent":
                value.append(self._node(item, f"{at}/{len(value)}", depth + 1))
        if event.anchor:
            self._anchors[event.anchor] = (value, self._nodes - before)
        return value

    def _mapping(self, at: str, depth: int) -> dict[str, Any]:
        value: dict[str, Any] = {}
        while type(event := next(self._events)).__name__ != "MappingEndEvent":
            line = event.start_mark.line + 1
            if type(event).__name__ != "ScalarEvent":
                self._refuse(line, at, "a string as key", "something else", "write a plain name")
            key = self._text(event.value, line, at)
            place = at + join(key)
            if key == "<<" and event.implicit[0]:
                self._refuse(line, place, "plain keys", "a merge key", "write the keys out")
            if key in value:
                first = self._lines[place]
                self._refuse(
                    line,
                    place,
                    "each key once",
                    f"{key!r} again (first in line {first})",
                    "remove one",
                )
            self._lines[place] = line
            value[key] = self._node(next(self._events), place, depth + 1)
        return value

    def _scalar(self, event: Any, line: int, at: str) -> Any:
        text = self._text(event.value, line, at)
        if not event.implicit[0] and (event.implicit[1] or event.tag in ("!", f"{_TAG}str")):
            return text
        self._raw[at] = text
        value = _plain(text)
        if event.tag is not None and event.implicit[0] is False:
            self._check_tag(event, ("null", "bool", "int", "float"), line, at)
            wanted = {"null": type(None), "bool": bool, "int": int, "float": (int, float)}
            name = event.tag.removeprefix(_TAG)
            if not isinstance(value, wanted[name]):  # type: ignore[arg-type]
                self._refuse(line, at, f"a value of {name}", repr(text), "remove the tag")
        if isinstance(value, float) and value in (float("inf"), float("-inf")):
            self._refuse(line, at, "a number a double can hold", text[:40], "quote it")
        return value

    def _check_tag(self, event: Any, names: tuple[str, ...], line: int, at: str) -> None:
        if event.tag not in (None, "!", *(f"{_TAG}{name}" for name in names)):
            self._refuse(line, at, "plain YAML", f"the tag {event.tag}", "remove the tag")

    def _text(self, text: str, line: int, at: str) -> str:
        if any("\ud800" <= letter <= "\udfff" for letter in text):
            self._refuse(line, at, "valid Unicode", "a lone surrogate", "remove the escape")
        return text

    def _count(self, size: int, line: int, at: str) -> None:
        self._nodes += size
        if self._nodes > NODES_MAX:
            self._refuse(
                line, at, f"at most {NODES_MAX} values", "more", "split the file, use fewer aliases"
            )

    def _refuse(self, line: int, at: str, expected: str, found: str, fix: str) -> NoReturn:
        raise ManifestError([_error(self._file, line, at, expected, found, fix)])


def _plain(text: str) -> Any:
    if re.fullmatch(_NULL, text):
        return None
    if found := re.fullmatch(_BOOL, text):
        return found[1] is None
    if len(text) <= 400:
        if re.fullmatch(_INT, text):
            return int(text)
        if re.fullmatch(_FLOAT, text):
            return float(text)
    return text


_PAIR = r"\\\\|\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})"


def _join_surrogates(text: str) -> str:
    """Return JSON text with escaped surrogate pairs as real characters."""

    def joined(found: re.Match[str]) -> str:
        if found[1] is None:
            return found[0]
        return chr(0x10000 + ((int(found[1], 16) & 0x3FF) << 10) + (int(found[2], 16) & 0x3FF))

    return re.sub(_PAIR, joined, text)


def _items(document: Document) -> list[Document]:
    """Return the resources inside a list of them, else the document."""
    value = document.value
    if not isinstance(value, dict) or list(value) != ["items"] or type(value["items"]) is not list:
        return [document]
    parts = []
    for index, item in enumerate(value["items"]):
        prefix = f"/items/{index}"
        parts.append(
            Document(
                file=document.file,
                line=document.line_of(prefix),
                value=item,
                lines=_under(prefix, document.lines),
                raw=_under(prefix, document.raw),
            )
        )
    return parts


def _under(prefix: str, table: Mapping[str, T]) -> dict[str, T]:
    """Return the entries at and below a pointer, seen from there."""
    return {
        at.removeprefix(prefix): entry
        for at, entry in table.items()
        if at == prefix or at.startswith(prefix + "/")
    }


def _spec(value: Mapping[str, Any], kind: Kind | None) -> tuple[str, Any]:
    """Return where the spec stands, and the spec.

    A kind with a `block` also takes it under that name, beside the metadata or
    as the only key inside the spec.
    """
    spec = value.get("spec")
    if kind is None or not kind.block:
        return "/spec", spec
    if "spec" not in value and kind.block in value:
        return join(kind.block), value[kind.block]
    if isinstance(spec, Mapping) and list(spec) == [kind.block]:
        return "/spec" + join(kind.block), spec[kind.block]
    return "/spec", spec


def _enveloped(value: Mapping[str, Any], at: str, spec: Any) -> Mapping[str, Any]:
    """Return the document with its spec under `spec`, wherever it stood."""
    if at == "/spec":
        return value
    return {**{key: item for key, item in value.items() if join(key) != at}, "spec": spec}


def _resource(value: Mapping[str, Any], kinds: Mapping[str, Kind]) -> Resource:
    return Resource(
        apiVersion=value["apiVersion"],
        kind=value["kind"],
        metadata=msgspec.convert(value["metadata"], Metadata),
        spec=_spec(value, kinds[value["kind"]])[1],
    )


def _located(document: Document, problem: Problem) -> dict[str, Any]:
    fix, raw = problem.fix, document.raw.get(problem.at)
    if problem.keyword == "type" and "a string" in problem.expected and raw:
        fix = f"put it in quotes: {msgspec.json.encode(raw).decode()}"
    line = document.line_of(problem.at)
    return _error(document.file, line, problem.at, problem.expected, problem.found, fix)


def _error(file: str, line: int, at: str, expected: str, found: str, fix: str) -> dict[str, Any]:
    return {
        "file": file,
        "line": line,
        "path": path_text(at),
        "expected": expected,
        "found": found,
        "fix": fix,
    }


def _sentence(error: Mapping[str, Any]) -> str:
    place = f"{error['file']}:{error['line']}: " + (f"{error['path']}: " if error["path"] else "")
    return f"{place}expected {error['expected']}, found {error['found']}"


def _found_at(kind: Kind, spec: Mapping[str, Any], at: str) -> str:
    if schema_at(kind.schema, at).get(SENSITIVE):
        return "something else"
    try:
        return found_text(get(spec, at))
    except MissingError:
        return "nothing"
