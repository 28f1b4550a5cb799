"""Asked: one request as its handler sees it.

What all of them need of a request is read here once: who asks and in which
namespace, what was sent, how long they wait, under which key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.requests import Request

from agentsquad.kernel import canonical
from agentsquad.kernel.errors import InvalidError
from agentsquad.kernel.spelling import closest
from agentsquad.surfaces.gateway import http
from agentsquad.surfaces.gateway.contract import KEY_LENGTH_MAX, Caller, Gateway
from agentsquad.surfaces.gateway.operation import Field, Operation
from agentsquad.surfaces.rest import formats
from agentsquad.surfaces.rest.contract import (
    BodyError,
    BodyTooLargeError,
    HttpError,
    Options,
    ParameterError,
)

SURFACE = "rest"
KEY = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
INTEGER = re.compile(r"-?[0-9]{1,19}")
NUMBER = re.compile(r"-?[0-9]{1,40}(?:\.[0-9]{1,40})?(?:[eE][+-]?[0-9]{1,3})?")
FLAGS = {"": True, "1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
WAIT_MAX_S = 600
RESERVED = ("watch",)  # parameters of the address that are none of the action


class Asked:
    """One request."""

    def __init__(
        self, gateway: Gateway, options: Options, request: Request, template: str = ""
    ) -> None:
        self.gateway = gateway
        self.options = options
        self.request = request
        self.template = template
        self.path: Mapping[str, str] = request.path_params
        self.body = b""
        self._caller: Caller | None = None

    async def read(self, limit: int) -> None:
        """Read the body, but no more than allowed; a look that announces none
        has none."""
        headers = self.request.headers
        announced = headers.get("content-length", "0")
        if announced == "0" and "transfer-encoding" not in headers and self._looks:
            return
        if announced.isdigit() and int(announced) > limit:
            raise _too_large(limit)
        parts, size = [], 0
        async for part in self.request.stream():
            size += len(part)
            if size > limit:
                raise _too_large(limit)
            parts.append(part)
        self.body = b"".join(parts)

    @property
    def _looks(self) -> bool:
        return self.request.scope["method"] in ("GET", "HEAD")

    @property
    def namespace(self) -> str | None:
        """The namespace of the address; None where it names none."""
        named = self.path.get("ns")
        header = self.request.headers.get(http.NAMESPACE_HEADER)
        if header == "":
            raise HttpError("Squad-Namespace names nothing", hint="e.g. Squad-Namespace: default")
        if named is not None and header is not None and named != header:
            raise HttpError(
                f"the address says namespace {named!r}, the header {header!r}",
                hint="give one of them",
            )
        return named

    async def caller(self) -> Caller:
        """Return who asks; raises what keeps them out."""
        if self._caller is None:
            self._caller = await http.enter(
                self.gateway,
                self.request,
                SURFACE,
                namespace=self.namespace,
                route=self.template,
                body=self.body,
            )
        return self._caller

    def value(self) -> dict[str, Any]:
        """Return the body as the input of an action; nothing is an empty
        one."""
        content_type = self.request.headers.get("content-type", "")
        found = formats.loads(self.body, content_type, depth_max=self.options.depth_max)
        if found is None and not self.body.strip():
            return {}
        if not isinstance(found, dict):
            raise BodyError("the body is not an object", hint='e.g. {"name": "value"}')
        return found

    @property
    def key(self) -> str | None:
        """The Idempotency-Key, in quotes or not; None without one."""
        text = self.request.headers.get(http.KEY_HEADER)
        if text is None:
            return None
        if len(text) > 1 and text[0] == text[-1] == '"':
            text = text[1:-1].replace('\\"', '"').replace("\\\\", "\\")
        if len(text) > KEY_LENGTH_MAX or KEY.fullmatch(text) is None:
            raise HttpError(
                f"an Idempotency-Key is 1 to {KEY_LENGTH_MAX} visible letters",
                hint='e.g. Idempotency-Key: "8e03978e-40d5-43dd-bc93-6894a57f9324"',
            )
        return text

    @property
    def preferences(self) -> dict[str, str]:
        """What is preferred (RFC 7240): names and values in small letters."""
        found: dict[str, str] = {}
        if "prefer" not in self.request.headers:
            return found
        for header in self.request.headers.getlist("prefer"):
            for part in header.split(","):
                name, _, value = part.partition(";")[0].partition("=")
                found.setdefault(name.strip().lower(), value.strip().strip('"').lower())
        return found

    @property
    def timeout_ms(self) -> int | None:
        """How long the caller waits, by `Prefer: wait=SECONDS`."""
        wait = self.preferences.get("wait", "")
        if not wait.isascii() or not wait.isdigit():
            return None
        return min(max(1, int(wait[:6])), WAIT_MAX_S) * 1000

    @property
    def _asks(self) -> bool:
        """Whether the address has parameters at all."""
        return bool(self.request.scope.get("query_string"))

    def flag(self, name: str) -> bool:
        """Return a parameter of the address that is on or off."""
        given = self.request.query_params.get(name) if self._asks else None
        return given is not None and _flag(name, given)

    def parameters(self, operation: Operation, held: Mapping[str, Any]) -> dict[str, Any]:
        """Return an operation's input: what the address holds, and its
        parameters."""
        found: dict[str, Any] = {}
        if not self._asks:
            named = {one.name: one for one in operation.fields if one.name in held}
            return {name: fitted(named.get(name), held[name]) for name in held}
        fields = {one.name: one for one in operation.fields}
        for name, text in self.request.query_params.multi_items():
            if name in RESERVED:
                continue
            field = fields.get(name) or fields.get(f"{name}_")
            if field is None or name in held:
                raise _unknown(name, [one for one in fields if one not in held])
            if field.kind == "list":
                found.setdefault(field.name, []).append(text)
            elif field.name in found:
                raise ParameterError(f"{name} is there twice", hint="give it once")
            else:
                found[field.name] = read_text(field, text)
        return {**found, **{name: fitted(fields.get(name), held[name]) for name in held}}


def fitted(field: Field | None, held: Any) -> Any:
    """Return a part of the address as an input field takes it."""
    return read_text(field, held) if field is not None and isinstance(held, str) else held


def read_text(field: Field, text: str) -> Any:
    """Return the text of a parameter as a field takes it; ParameterError says
    what it takes."""
    if field.kind == "integer":
        if INTEGER.fullmatch(text) is None:
            raise _misfit(field, text, "a whole number")
        return int(text)
    if field.kind == "number":
        if NUMBER.fullmatch(text) is None:
            raise _misfit(field, text, "a number")
        return float(text)
    if field.kind == "flag":
        return _flag(field.name, text)
    if field.kind == "json":
        try:
            return canonical.loads(text)
        except InvalidError as error:
            raise ParameterError(f"{field.name} takes JSON: {error.message}") from None
    if field.kind == "choice" and field.choices and text not in field.choices:
        raise _misfit(field, text, "one of " + ", ".join(field.choices))
    return text


def _flag(name: str, text: str) -> bool:
    try:
        return FLAGS[text.lower()]
    except KeyError:
        raise ParameterError(f"{name} is true or false, not {text[:40]!r}") from None


def _misfit(field: Field, text: str, what: str) -> ParameterError:
    example = field.examples[0] if field.examples else None
    hint = f"e.g. {field.name}={msgspec.json.encode(example).decode()}" if example else None
    return ParameterError(f"{field.name} takes {what}, not {text[:40]!r}", hint=hint)


def _unknown(name: str, known: list[str]) -> ParameterError:
    near = closest(name, known)
    listed = ", ".join(known) or "none"
    return ParameterError(
        f"there is no parameter {name[:40]!r}",
        hint=f"did you mean {near!r}?" if near else f"parameters: {listed}",
    )


def _too_large(limit: int) -> BodyTooLargeError:
    return BodyTooLargeError(
        f"the body is longer than {limit} bytes", hint="keep large files as blobs, POST /v1/blobs"
    )
