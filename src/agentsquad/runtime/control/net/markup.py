"""XML as a small tree that knows its lines.

Apart from PNML because the standard library's tree forgets lines. Entities of a
document's own are refused, drawings are skipped, namespaces are kept apart from
names but not insisted on.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.parsers import expat

from agentsquad.runtime.control.net.contract import NetFileError

DEPTH_MAX = 200
SKIPPED = frozenset({"graphics"})


class Element:
    """One element: local name, attributes, text, children and line."""

    __slots__ = ("attributes", "children", "line", "name", "space", "text", "up")

    def __init__(self, name: str, attributes: dict[str, str], line: int) -> None:
        self.space, _, self.name = name.rpartition(" ")
        self.attributes = attributes
        self.line = line
        self.text = ""
        self.children: list[Element] = []
        self.up: Element | None = None

    def get(self, name: str) -> str | None:
        """Return an attribute without surrounding space."""
        value = self.attributes.get(name)
        return None if value is None else value.strip()

    def child(self, *names: str) -> Element | None:
        """Return the first child of one of these names."""
        return next((one for one in self.children if one.name in names), None)

    def all(self, *names: str) -> Iterator[Element]:
        """Yield the children of these names."""
        return (one for one in self.children if one.name in names)

    def inside(self) -> Iterator[Element]:
        """Yield everything below, in document order."""
        for one in self.children:
            yield one
            yield from one.inside()

    def path(self) -> str:
        """Return where it stands: `pnml/net[n1]/place[p1]`."""
        parts: list[str] = []
        at: Element | None = self
        while at is not None:
            name = at.get("id")
            parts.append(f"{at.name}[{name}]" if name else at.name)
            at = at.up
        return "/".join(reversed(parts))


def parse(data: bytes, file: str) -> Element:
    """Return the root of a document, or raise NetFileError with the line."""
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    stack: list[Element] = []
    roots: list[Element] = []
    skipping = 0

    def begin(name: str, attributes: dict[str, str]) -> None:
        nonlocal skipping
        if skipping or name.rpartition(" ")[2] in SKIPPED:
            skipping += 1
            return
        if len(stack) >= DEPTH_MAX:
            raise NetFileError(
                f"elements are nested deeper than {DEPTH_MAX}",
                file=file,
                line=parser.CurrentLineNumber,
                hint="flatten the document",
            )
        one = Element(name, attributes, parser.CurrentLineNumber)
        if stack:
            one.up = stack[-1]
            stack[-1].children.append(one)
        else:
            roots.append(one)
        stack.append(one)

    def end(name: str) -> None:
        nonlocal skipping
        if skipping:
            skipping -= 1
            return
        stack.pop()

    def text(data: str) -> None:
        if not skipping and stack:
            stack[-1].text += data

    def entity(*_: object) -> None:
        raise NetFileError(
            "the document declares entities of its own",
            file=file,
            line=parser.CurrentLineNumber,
            hint="write what they stand for in their place",
        )

    parser.StartElementHandler = begin
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    parser.EntityDeclHandler = entity
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise NetFileError(
            f"not well-formed XML: {expat.errors.messages[error.code]}",
            file=file,
            line=error.lineno,
            hint="correct the markup there, or save the net again from its editor",
        ) from None
    except (ValueError, LookupError) as error:  # an encoding nobody knows
        raise NetFileError(
            f"not readable as XML: {error}", file=file, line=1, hint="save it as UTF-8"
        ) from None
    return roots[0]
