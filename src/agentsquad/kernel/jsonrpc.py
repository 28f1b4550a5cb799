"""JSON-RPC 2.0 messages as values: read strictly, written compactly.

The same for everything that speaks it, as server and as client. Bytes in, a
value or an RpcError out; nothing else can come of any bytes whatsoever.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from agentsquad.kernel import canonical
from agentsquad.kernel.errors import (
    BugError,
    IntegrityError,
    InvalidError,
    MissingError,
    SquadError,
    surface_of,
)

PARSE = -32700
REQUEST = -32600
METHOD = -32601
PARAMS = -32602
INTERNAL = -32603
ID_LENGTH_MAX = 256
EXACT_MAX = 2**53

Id = str | int


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A question that wants an answer with the same id."""

    id: Id
    method: str
    params: Mapping[str, Any] = {}


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """Something told; never answered."""

    method: str
    params: Mapping[str, Any] = {}


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """An answer: `result`, or `error` where it went wrong; `id` is None where
    the question's could not be read."""

    id: Id | None
    result: Any = None
    error: Mapping[str, Any] | None = None


Message = Request | Notification | Response


class RpcError(InvalidError):
    """Not a JSON-RPC message, or not one that is understood here."""

    code = "jsonrpc.invalid"

    def __init__(
        self, message: str, *, number: int = REQUEST, id: Id | None = None, data: Any = None
    ) -> None:
        super().__init__(message)
        self.number = number
        self.id = id
        self.data = data


def read(data: bytes | str) -> Message:
    """Read one message; a batch is refused, as MCP and A2A do."""
    try:
        value = canonical.loads(data)
    except InvalidError as error:
        raise RpcError(f"not JSON: {error.message}", number=PARSE) from None
    if isinstance(value, list):
        raise RpcError("batches are not taken: send one message at a time")
    if not isinstance(value, dict) or value.get("jsonrpc") != "2.0":
        raise RpcError('expected an object with "jsonrpc": "2.0"', id=_readable(value))
    if "method" not in value:
        return _response(value)
    return _asked(value)


def _asked(value: dict[str, Any]) -> Request | Notification:
    method, params = value["method"], value.get("params")
    id = _readable(value)
    if not isinstance(method, str) or not method:
        raise RpcError("expected method to be a text", id=id)
    if params is None:
        params = {}
    if not isinstance(params, dict):
        raise RpcError("expected params to be an object", number=PARAMS, id=id)
    if "id" not in value:
        return Notification(method=method, params=params)
    if id is None:
        raise RpcError("expected id to be a text or a whole number")
    return Request(id=id, method=method, params=params)


def _response(value: dict[str, Any]) -> Response:
    id = _readable(value)
    error = value.get("error")
    if ("result" in value) == (error is not None):
        raise RpcError("expected method, or either result or error", id=id)
    if error is not None and not (
        isinstance(error, dict)
        and isinstance(error.get("code"), int)
        and isinstance(error.get("message"), str)
    ):
        raise RpcError("expected error to have a code and a message", id=id)
    if id is None and error is None:
        raise RpcError("expected id to be a text or a whole number")
    return Response(id=id, result=value.get("result"), error=error)


def _readable(value: Any) -> Id | None:
    """Return the id of a message, if it has one that can be used."""
    id = value.get("id") if isinstance(value, dict) else None
    if isinstance(id, str):
        return id if len(id) <= ID_LENGTH_MAX else None
    if isinstance(id, int) and not isinstance(id, bool):
        return id if abs(id) <= EXACT_MAX else None
    return None


def request(id: Id, method: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return a question as JSON."""
    body: dict[str, Any] = {"jsonrpc": "2.0", "id": id, "method": method}
    return body if params is None else {**body, "params": params}


def notification(method: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return something told as JSON."""
    body: dict[str, Any] = {"jsonrpc": "2.0", "method": method}
    return body if params is None else {**body, "params": params}


def result(id: Id, value: Any) -> dict[str, Any]:
    """Return an answer as JSON."""
    return {"jsonrpc": "2.0", "id": id, "result": value}


def failure(id: Id | None, error: BaseException, *, null: bool = False) -> dict[str, Any]:
    """Return an error as JSON: JSON-RPC's own numbers where they say it, else
    the HTTP status of the one table, so outside of the range that JSON-RPC
    keeps for itself. `null` writes an unknown id down."""
    body: dict[str, Any] = {"jsonrpc": "2.0", "error": described(error)}
    if id is not None or null:
        body["id"] = id
    return body


def described(error: BaseException) -> dict[str, Any]:
    """Return code, message and data of an error."""
    if isinstance(error, RpcError):
        body: dict[str, Any] = {"code": error.number, "message": error.message}
        return body if error.data is None else {**body, "data": error.data}
    known = error if isinstance(error, SquadError) else BugError("an unexpected error; see the log")
    return {"code": number_of(known), "message": known.message, "data": known.to_dict()}


def number_of(error: SquadError) -> int:
    """Return the number of one of our errors."""
    if isinstance(error, InvalidError | MissingError):
        return PARAMS
    if isinstance(error, BugError | IntegrityError):
        return INTERNAL
    return surface_of(error).http


def encode(message: Mapping[str, Any]) -> bytes:
    """Return a message as JSON on one line."""
    return msgspec.json.encode(message)
