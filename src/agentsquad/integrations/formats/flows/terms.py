"""Terms: the part of jq, FEEL and JUEL that is plain values, paths, comparison
and arithmetic, as CEL.

Everything else (functions, filters, closures) is refused with its name, never
guessed. jq's and FEEL's missing value is null where CEL has an error, so a
comparison with a path also asks whether the path is there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from agentsquad.integrations.formats.flows.contract import UntranslatableError

_TOKEN = re.compile(
    r"""\s*(?:(?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
    |(?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    |(?P<name>[$@]?[A-Za-z_][A-Za-z0-9_]*)
    |(?P<sign>==|!=|<=|>=|&&|\|\||//|[-+*/%<>=!|.,:()\[\]{}]))""",
    re.X,
)
_WORDS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "mod": "%"}
_LEVELS: tuple[tuple[str, ...], ...] = (
    ("||",),
    ("&&",),
    ("==", "!=", "<", "<=", ">", ">="),
    ("+", "-"),
    ("*", "/", "%"),
)
_COMPARISONS = _LEVELS[2]


class Term(NamedTuple):
    """CEL, and what is known of it: `path` is a place that may be missing,
    `kind` array or object of a literal."""

    cel: str
    path: bool = False
    kind: str = ""
    level: int = 9


class Dialect(NamedTuple):
    """What tells one language from another: how a name, and a leading dot, is
    read."""

    language: str
    name: Callable[[str], str | None]
    dot: str | None = None
    equals: bool = False  # whether = compares


def jq(text: str, data: str, variables: Mapping[str, str]) -> str:
    """Return the CEL for a jq expression; `data` is CEL for "."."""
    return _read(text, Dialect("jq", lambda name: variables.get(name), data))


def feel(text: str, names: Callable[[str], str]) -> str:
    """Return the CEL for a condition in FEEL or JUEL; `names` gives the CEL of
    a variable."""
    inner = text.strip()
    if inner[:2] in ("${", "#{") and inner.endswith("}"):
        inner = inner[2:-1]
    elif inner.startswith("="):
        inner = inner[1:]
    return _read(inner, Dialect("this expression language", names, None, True))


def _read(text: str, dialect: Dialect) -> str:
    parser = _Parser(_tokens(text, dialect), dialect)
    found = parser.piped()
    if parser.left():
        raise _refused(dialect, parser.left()[0])
    return found.cel


def _tokens(text: str, dialect: Dialect) -> list[tuple[str, str]]:
    found, at = [], 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None:
            raise _refused(dialect, text[at:].strip()[:10])
        kind = match.lastgroup or ""
        found.append((kind, match[kind]))
        at = match.end()
    if not found:
        raise UntranslatableError("an expression is empty")
    return found


def _refused(dialect: Dialect, what: str) -> UntranslatableError:
    return UntranslatableError(f"{what!r} of {dialect.language} has no equivalent in CEL")


class _Parser:
    """Precedence climbing over tokens; writes CEL as it goes."""

    def __init__(self, tokens: Sequence[tuple[str, str]], dialect: Dialect) -> None:
        self._tokens = tokens
        self._at = 0
        self._dialect = dialect

    def left(self) -> list[str]:
        """Return what was not read."""
        return [text for _, text in self._tokens[self._at :]]

    def _peek(self) -> str:
        return self._tokens[self._at][1] if self._at < len(self._tokens) else ""

    def _take(self, *wanted: str) -> bool:
        kind, text = self._tokens[self._at] if self._at < len(self._tokens) else ("", "")
        if kind in ("", "string") or text not in wanted:
            return False
        self._at += 1
        return True

    def _need(self, wanted: str) -> None:
        if not self._take(wanted):
            raise UntranslatableError(f"{wanted!r} is missing before {self._peek() or 'the end'!r}")

    def piped(self) -> Term:
        """Read "a | length" and "a | not"."""
        found = self._level(0)
        while self._dialect.dot is not None and self._take("|"):
            if self._take("length"):
                found = Term(f"size({found.cel})")
            elif self._take("not"):
                found = Term(f"!({found.cel})")
            else:
                raise _refused(self._dialect, f"| {self._peek()}")
        return found

    def _sign(self) -> str:
        kind, text = self._tokens[self._at] if self._at < len(self._tokens) else ("", "")
        if kind == "string":
            return ""
        if text in ("and", "or"):
            return {"and": "&&", "or": "||"}[text]
        if text == "=" and self._dialect.equals:
            return "=="
        return _WORDS.get(text, text) if kind == "name" else text

    def _level(self, level: int) -> Term:
        if level == len(_LEVELS):
            return self._unary()
        found = self._level(level + 1)
        while self._sign() in _LEVELS[level]:
            sign = self._sign()
            self._at += 1
            found = _joined(found, sign, self._level(level + 1), level)
        return found

    def _unary(self) -> Term:
        if self._take("!"):
            return Term(f"!({self._unary().cel})")
        if self._take("-"):
            return Term(f"-{self._unary().cel}")
        if self._peek() == "not" and self._dialect.dot is None:
            self._at += 1
            self._need("(")
            inner = self.piped()
            self._need(")")
            return Term(f"!({inner.cel})")
        return self._path(self._primary())

    def _path(self, found: Term) -> Term:
        while True:
            if self._take("."):
                kind, text = self._next()
                if kind == "string":
                    found = Term(f"{found.cel}[{_quoted(text)}]", path=True)
                elif kind == "name" and text[0] not in "$@":
                    found = Term(f"{found.cel}.{text}", path=True)
                else:
                    raise _refused(self._dialect, f".{text}")
            elif self._peek() == "[" and self._tokens[self._at - 1][1] != ",":
                self._at += 1
                if self._take("]"):
                    raise _refused(self._dialect, "[]")
                index = self.piped()
                self._need("]")
                found = Term(f"{found.cel}[{index.cel}]", path=True)
            else:
                return found

    def _next(self) -> tuple[str, str]:
        if self._at >= len(self._tokens):
            raise UntranslatableError("an expression ends too soon")
        self._at += 1
        return self._tokens[self._at - 1]

    def _primary(self) -> Term:
        kind, text = self._next()
        if kind == "number":
            return Term(text)
        if kind == "string":
            return Term(_quoted(text))
        if kind == "name":
            return self._named(text)
        if text == "(":
            inner = self.piped()
            self._need(")")
            return Term(f"({inner.cel})", kind=inner.kind)
        if text == "[":
            return Term("[" + ", ".join(self._several("]")) + "]", kind="array")
        if text == "{":
            return self._object()
        if text == "." and self._dialect.dot is not None:
            following = self._tokens[self._at] if self._at < len(self._tokens) else ("", "")
            if following[0] in ("name", "string") and following[1] not in ("and", "or"):
                self._at -= 1
            return Term(self._dialect.dot, path=False)
        raise _refused(self._dialect, text)

    def _named(self, text: str) -> Term:
        if text in ("true", "false", "null"):
            return Term(text)
        if self._peek() == "(":
            raise _refused(self._dialect, f"{text}()")
        found = self._dialect.name(text)
        if found is None:
            raise _refused(self._dialect, text)
        return Term(found, path=self._dialect.dot is None)

    def _several(self, end: str) -> list[str]:
        found: list[str] = []
        while not self._take(end):
            found.append(self.piped().cel)
            if not self._take(","):
                self._need(end)
                break
        return found

    def _object(self) -> Term:
        found: list[str] = []
        while not self._take("}"):
            kind, text = self._next()
            if kind not in ("name", "string"):
                raise _refused(self._dialect, f"{{{text}")
            key = _quoted(text) if kind == "string" else json.dumps(text)
            self._need(":")
            found.append(f"{key}: {self._level(0).cel}")
            if not self._take(","):
                self._need("}")
                break
        return Term("{" + ", ".join(found) + "}", kind="object")


def _joined(one: Term, sign: str, other: Term, level: int) -> Term:
    if sign in _COMPARISONS:
        return Term(_compared(one, sign, other), level=level)
    if sign == "+" and "object" in (one.kind, other.kind):
        raise UntranslatableError("joining objects with + has no equivalent in CEL")
    if sign == "+" and other.kind == "array" and one.path:
        # null + [x] is [x] there, and an error here.
        either = f"({_there(one.cel)} ? {one.cel} : [])"
        return Term(f"{either} + {other.cel}", kind="array", level=level)
    left = f"({one.cel})" if one.level < level else one.cel
    right = f"({other.cel})" if other.level <= level else other.cel
    kind = "array" if one.kind == other.kind == "array" else ""
    return Term(f"{left} {sign} {right}", kind=kind, level=level)


def _compared(one: Term, sign: str, other: Term) -> str:
    told = [_there(term.cel) for term in (one, other) if term.path and _asked(term.cel)]
    both = f"{one.cel} {sign} {other.cel}"
    if not told:
        return both
    if "null" in (one.cel, other.cel):
        there, path = " && ".join(told), one if other.cel == "null" else other
        if sign == "==":
            return f"(!({there}) || {path.cel} == null)"
        return f"({there} && {path.cel} != null)"
    if sign == "!=":
        return f"(!({' && '.join(told)}) || {both})"
    return f"({' && '.join(told)} && {both})"


def _there(cel: str) -> str:
    """Return the CEL that asks whether a path, and all of the way to it, is
    there."""
    found = re.search(r"((?:\.[A-Za-z_][A-Za-z0-9_]*)+)$", cel)
    if found is None:
        return "true"
    at, asked = cel[: found.start()], []
    for name in found[1].split(".")[1:]:
        at = f"{at}.{name}"
        asked.append(f"has({at})")
    return " && ".join(asked)


def _asked(cel: str) -> bool:
    """Whether CEL can be asked if a path is there: it must end in a name."""
    return bool(re.search(r"\.[A-Za-z_][A-Za-z0-9_]*$", cel))


def _quoted(text: str) -> str:
    """Return a string of theirs as one of CEL."""
    inner = text[1:-1]
    if text[0] == "'":
        inner = inner.replace("\\'", "'").replace('"', '\\"')
    if "\\(" in inner:
        raise UntranslatableError("a string with an expression inside has no equivalent in CEL")
    return f'"{inner}"'
