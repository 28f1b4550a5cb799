"""XML: the form of JSON in XML that XPath and XQuery Functions 3.1 define.

`<map>`, `<array>`, `<string>`, `<number>`, `<boolean>` and `<null>` in one
namespace, members of a map named by `key`. Every JSON value has exactly one
such document and back, so nothing is guessed from names. Letters that XML
cannot hold are written as in JSON, marked by `escaped`. A document type,
entities, instructions and deep nesting are refused before anything is built.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn
from xml.parsers import expat

from agentsquad.surfaces.rest.contract import BodyError

NAMESPACE = "http://www.w3.org/2005/xpath-functions"
HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
NAMES = ("map", "array", "string", "number", "boolean", "null")
ATTRIBUTES = ("key", "escaped", "escaped-key")
# What XML 1.0 cannot hold, and the carriage return that its readers would lose.
UNWRITABLE = re.compile("[^\t\n\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
LONE_QUOTE = re.compile(r'(\\.)|"', re.DOTALL)
TRUTHS = {"true": True, "1": True, "false": False, "0": False}
DIGITS_MAX = 4_000


def dumps(value: Any) -> bytes:
    """Return plain JSON as an XML document."""
    parts = [HEAD]
    _write(value, f' xmlns="{NAMESPACE}"', parts)
    parts.append("\n")
    return "".join(parts).encode("utf-8")


def _write(value: Any, attributes: str, parts: list[str]) -> None:
    if value is None:
        parts.append(f"<null{attributes}/>")
    elif isinstance(value, bool):
        parts.append(f"<boolean{attributes}>{'true' if value else 'false'}</boolean>")
    elif isinstance(value, (int, float)):
        parts.append(f"<number{attributes}>{json.dumps(value)}</number>")
    elif isinstance(value, str):
        text, escaped = _text(value)
        mark = ' escaped="true"' if escaped else ""
        parts.append(f"<string{attributes}{mark}>{text}</string>")
    elif isinstance(value, dict):
        parts.append(f"<map{attributes}>")
        for name, inner in value.items():
            text, escaped = _text(str(name), '"')
            mark = ' escaped-key="true"' if escaped else ""
            _write(inner, f' key="{text}"{mark}', parts)
        parts.append("</map>")
    else:
        parts.append(f"<array{attributes}>")
        for inner in value:
            _write(inner, "", parts)
        parts.append("</array>")


def _text(text: str, quote: str = "") -> tuple[str, bool]:
    """Return a text as XML, and whether it had to be escaped as in JSON."""
    escaped = UNWRITABLE.search(text) is not None
    if escaped:
        text = UNWRITABLE.sub(_code, text.replace("\\", "\\\\"))
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    if quote:
        text = text.replace('"', "&quot;").replace("\n", "&#10;").replace("\t", "&#9;")
    return text, escaped


def _code(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"


def loads(data: bytes, *, depth_max: int = 64) -> Any:
    """Read such a document; BodyError says what is wrong, and where."""
    reader = _Reader(depth_max)
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = reader.refuse_doctype
    parser.EntityDeclHandler = reader.refuse_doctype
    parser.ProcessingInstructionHandler = reader.refuse_instruction
    parser.ExternalEntityRefHandler = None
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise BodyError(
            f"not XML at line {error.lineno}: {expat.errors.messages.get(error.code, 'error')}",
            hint="send one document in UTF-8",
        ) from None
    except (LookupError, ValueError, UnicodeError) as error:  # an encoding nobody knows
        raise BodyError(f"not XML: {error}", hint="send it in UTF-8") from None
    return reader.result


class _Reader:
    """Builds the value as elements come."""

    def __init__(self, depth_max: int) -> None:
        self.result: Any = None
        self._depth_max = depth_max
        self._open: list[tuple[str, dict[str, str], Any]] = []
        self._words: list[str] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        namespace, _, local = name.rpartition(" ")
        if namespace not in ("", NAMESPACE) or local not in NAMES:
            _wrong(f"there is no element {local!r} here", "one of " + ", ".join(NAMES))
        unknown = [one for one in attributes if one not in ATTRIBUTES]
        if unknown:
            _wrong(f"{local} has no attribute {unknown[0]!r}", "one of " + ", ".join(ATTRIBUTES))
        if len(self._open) >= self._depth_max:
            _wrong(f"nested deeper than {self._depth_max}", "flatten it")
        if self._open and self._open[-1][0] not in ("map", "array"):
            _wrong(f"{self._open[-1][0]} holds text alone", "a map or array holds elements")
        held: Any = {} if local == "map" else [] if local == "array" else None
        self._open.append((local, attributes, held))
        self._words = []

    def text(self, words: str) -> None:
        name = self._open[-1][0]
        if name in ("map", "array", "null"):
            if words.strip():
                _wrong(f"{name} holds no text", "a string element holds text")
            return
        self._words.append(words)

    def end(self, name: str) -> None:
        local, attributes, held = self._open.pop()
        value = held if held is not None else self._scalar(local, attributes)
        if not self._open:
            self.result = value
            return
        kind, _, outer = self._open[-1]
        if kind == "array":
            outer.append(value)
            return
        if "key" not in attributes:
            _wrong(f"{local} in a map has no key", "name it by its attribute key")
        key = attributes["key"]
        if _is_set(attributes, "escaped-key"):
            key = _unescaped(key)
        if key in outer:
            _wrong(f"the key {key!r} is there twice", "give each key once")
        outer[key] = value

    def _scalar(self, local: str, attributes: dict[str, str]) -> Any:
        words = "".join(self._words)
        if local == "string":
            return _unescaped(words) if _is_set(attributes, "escaped") else words
        if local == "null":
            return None
        words = words.strip()
        if local == "boolean":
            if words not in TRUTHS:
                _wrong(f"{words[:40]!r} is not a boolean", "true or false")
            return TRUTHS[words]
        if not NUMBER.fullmatch(words) or len(words) > DIGITS_MAX:
            _wrong(f"{words[:40]!r} is not a number", "a number as in JSON")
        value = int(words) if words.lstrip("-").isdigit() else float(words)
        if isinstance(value, float) and not math.isfinite(value):
            _wrong(f"{words[:40]!r} is beyond a number's range", "send it as a string")
        return value

    def refuse_doctype(self, *_: Any) -> None:
        _wrong("a document type is not read", "send the elements alone")

    def refuse_instruction(self, *_: Any) -> None:
        _wrong("an instruction is not read", "send the elements alone")


def _is_set(attributes: dict[str, str], name: str) -> bool:
    return TRUTHS.get(attributes.get(name, "").strip(), False)


def _unescaped(text: str) -> str:
    quoted = LONE_QUOTE.sub(lambda found: found[1] or '\\"', text)
    try:
        found = json.loads(f'"{quoted}"', strict=False)
        found.encode("utf-8")
    except (ValueError, RecursionError):
        _wrong(f"{text[:40]!r} is not escaped as in JSON", "write \\u and four digits")
    return str(found)


def _wrong(what: str, hint: str) -> NoReturn:
    raise BodyError(f"not JSON in XML: {what}", hint=hint)
