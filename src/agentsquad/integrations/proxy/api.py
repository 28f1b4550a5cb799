"""The APIs that the proxy speaks: which path is which, what a request says,
what an answer used, and how an error looks to each vendor's client.

Pure. A request is sent on as it came, except that a streamed chat is asked for
its usage, without which its cost would stay unknown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from agentsquad.integrations.proxy.contract import (
    ProxyInterruptedError,
    ProxyPathError,
    ProxyRequestError,
    ProxySizeError,
    ReplayMissError,
)
from agentsquad.kernel import canonical
from agentsquad.kernel.errors import TABLE, InvalidError, SquadError, surface_of
from agentsquad.workforce.agents.contract import Usage

BODY_MAX = 32 * 2**20
DEPTH_MAX = 100
NAME_MAX = 256
OPENAI, ANTHROPIC = "openai", "anthropic"
# Headers that change what is answered; every other one stays here.
KEPT_HEADERS = ("anthropic-version", "anthropic-beta", "openai-beta")
# Headers of an answer that a client acts on; ids and times are not among them.
TOLD_HEADERS = ("content-type", "retry-after", "retry-after-ms", "x-should-retry")
STATUS = {"x-should-retry": "false"}
_MODEL_ID = re.compile(r"[A-Za-z0-9._:/@+-]{1,200}")


class Api(NamedTuple):
    """One operation: its name, the vendor whose client calls it, and whether it
    streams, costs and can be answered for several at once."""

    name: str
    vendor: str
    method: str = "POST"
    streams: bool = False
    costs: bool = True
    batches: bool = False


CHAT = Api("openai.chat", OPENAI, streams=True)
COMPLETIONS = Api("openai.completions", OPENAI, streams=True)
RESPONSES = Api("openai.responses", OPENAI, streams=True)
EMBEDDINGS = Api("openai.embeddings", OPENAI, batches=True)
MODELS = Api("openai.models", OPENAI, "GET", costs=False)
MESSAGES = Api("anthropic.messages", ANTHROPIC, streams=True)
COUNT = Api("anthropic.count_tokens", ANTHROPIC, costs=False)
CLAUDES = Api("anthropic.models", ANTHROPIC, "GET", costs=False)
APIS = {
    one.name: one
    for one in (CHAT, COMPLETIONS, RESPONSES, EMBEDDINGS, MODELS, MESSAGES, COUNT, CLAUDES)
}
PATHS = {
    "/chat/completions": CHAT,
    "/completions": COMPLETIONS,
    "/responses": RESPONSES,
    "/embeddings": EMBEDDINGS,
    "/messages": MESSAGES,
    "/messages/count_tokens": COUNT,
}


class Request(NamedTuple):
    """What a request says, as far as the proxy must know it."""

    api: Api
    path: str
    body: Any
    model: str
    stream: bool
    max_tokens: int | None


def vendor_of(path: str, headers: Mapping[str, str]) -> str:
    """Return whose client asks, to answer in its own words."""
    theirs = "anthropic-version" in headers or "x-api-key" in headers
    return ANTHROPIC if theirs or "/messages" in path else OPENAI


def find(method: str, path: str, headers: Mapping[str, str]) -> tuple[Api, str]:
    """Return the operation of a path below `/v1`, and the path that follows a
    provider's endpoint; ProxyPathError for any other."""
    path = path.removeprefix("/v1")
    api = PATHS.get(path)
    if api is not None and method == api.method:
        return api, path
    tail = path.removeprefix("/models")
    one = tail.startswith("/") and _MODEL_ID.fullmatch(tail[1:])
    if method == "GET" and tail != path and (one or not tail):
        return (CLAUDES if vendor_of(path, headers) == ANTHROPIC else MODELS), path
    raise ProxyPathError(
        f"the proxy does not speak {method[:10]} {path[:80]}",
        hint=f"it speaks {', '.join(sorted(PATHS))} and /models, below /v1",
    )


def read(method: str, path: str, headers: Mapping[str, str], data: bytes) -> Request:
    """Read a request; ProxyRequestError says what is wrong with it."""
    api, tail = find(method, path, headers)
    if api.method == "GET":
        return Request(api, tail, None, tail.removeprefix("/models/").removeprefix("/models"),
                       False, None)  # fmt: skip
    if len(data) > BODY_MAX:
        raise ProxySizeError(f"the body has {len(data)} bytes; the proxy takes {BODY_MAX}")
    try:
        body = canonical.loads(data)
    except (InvalidError, RecursionError) as error:
        said = error.message if isinstance(error, InvalidError) else "nested too deep"
        raise ProxyRequestError(f"the body is not JSON: {said}") from error
    if not isinstance(body, dict):
        raise ProxyRequestError("the body is not a JSON object")
    if _deep(body):
        raise ProxyRequestError(f"the body is nested deeper than {DEPTH_MAX} levels")
    model = body.get("model")
    if not isinstance(model, str) or not model or len(model) > NAME_MAX:
        raise ProxyRequestError("'model' is not a name", hint="name the model to be asked")
    stream = body.get("stream")
    if stream not in (None, True, False) or isinstance(stream, (int, float)) is not isinstance(
        stream, bool
    ):
        raise ProxyRequestError("'stream' is neither true nor false")
    return Request(api, tail, body, model, bool(stream) and api.streams, _most(body))


def _most(body: Mapping[str, Any]) -> int | None:
    """Return the longest answer that is asked for, in tokens, over all answers
    asked for at once."""
    for field in ("max_completion_tokens", "max_output_tokens", "max_tokens"):
        value = body.get(field)
        if type(value) is int and 0 < value <= 10**9:
            several = body.get("n")
            return value * several if type(several) is int and 0 < several <= 1024 else value
    return None


def _deep(value: Any, left: int = DEPTH_MAX) -> bool:
    """Whether a value is nested deeper than so many levels."""
    if isinstance(value, dict):
        return left == 0 or any(_deep(one, left - 1) for one in value.values())
    if isinstance(value, list):
        return left == 0 or any(_deep(one, left - 1) for one in value)
    return False


def outgoing(request: Request) -> tuple[Any, bool]:
    """Return the body to send, and whether it asks for usage that the client
    did not ask for."""
    if request.api is not CHAT or not request.stream:
        return request.body, False
    options = request.body.get("stream_options")
    if options is not None and not isinstance(options, dict):
        return request.body, False
    if (options or {}).get("include_usage") is not None:
        return request.body, False
    return {**request.body, "stream_options": {**(options or {}), "include_usage": True}}, True


def only_usage(data: Any) -> bool:
    """Whether a piece of a streamed chat says nothing but what it used."""
    return isinstance(data, dict) and data.get("choices") == [] and bool(data.get("usage"))


def last(api: Api, name: str, text: str) -> bool:
    """Whether an event ends a stream; it is passed on when all is recorded."""
    if api.vendor == ANTHROPIC:
        return name == "message_stop"
    if api is RESPONSES:
        return name.partition(".")[2] in ("completed", "incomplete", "failed")
    return text == "[DONE]"


def usage_of(api: Api, data: Any, before: Usage | None = None) -> Usage | None:
    """Return what an answer, or a piece of one, says it used."""
    if not isinstance(data, Mapping):
        return before
    inner = data
    for key in ("response", "message"):
        if isinstance(data.get(key), Mapping):
            inner = data[key]
    said = inner.get("usage")
    if not isinstance(said, Mapping):
        return before
    if api.vendor == ANTHROPIC:
        return _claude_usage(said, before or Usage())
    details = said.get("prompt_tokens_details") or said.get("input_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, Mapping) else 0
    return Usage(
        input_tokens=_count(said, "prompt_tokens", "input_tokens"),
        output_tokens=_count(said, "completion_tokens", "output_tokens"),
        cached_tokens=cached if type(cached) is int else 0,
    )


def _claude_usage(said: Mapping[str, Any], before: Usage) -> Usage:
    """Count cached tokens as input too; what is not said again stays."""
    cached = _count(said, "cache_read_input_tokens") or before.cached_tokens
    fields = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    total = sum(_count(said, field) for field in fields)
    return Usage(
        input_tokens=max(total, before.input_tokens),
        output_tokens=max(_count(said, "output_tokens"), before.output_tokens),
        cached_tokens=cached,
    )


def _count(said: Mapping[str, Any], *names: str) -> int:
    for name in names:
        value = said.get(name)
        if type(value) is int and 0 <= value < 2**53:
            return value
    return 0


_KINDS = {
    "InvalidError": "invalid_request_error",
    "UnauthenticatedError": "authentication_error",
    "DeniedError": "permission_error",
    "MissingError": "not_found_error",
    "LimitError": "rate_limit_error",
}


def error_body(vendor: str, error: Mapping[str, Any]) -> Any:
    """Return a recorded error as each vendor's client expects one."""
    kind = _KINDS.get(str(error.get("class")), "api_error")
    if error.get("code") == "proxy.size" and vendor == ANTHROPIC:
        kind = "request_too_large"
    message = str(error.get("message") or "")
    if error.get("hint"):
        message = f"{message} ({error['hint']})"
    if vendor == ANTHROPIC:
        return {"type": "error", "error": {"type": kind, "message": message}}
    return {"error": {"message": message, "type": kind, "param": None, "code": error.get("code")}}


def status_of(error: Mapping[str, Any]) -> int:
    """Return the HTTP status of a recorded error.

    Nothing is answered with 500: what broke here is 502, as the client sees it.
    """
    if error.get("code") == "proxy.size":
        return 413
    if error.get("code") in (ReplayMissError.code, ProxyInterruptedError.code):
        return 400  # a client that tried again would only ask for another miss
    for cls, row in TABLE.items():
        if cls.__name__ == error.get("class"):
            return 502 if row.http == 500 else row.http
    return 502


def error_headers(error: Mapping[str, Any]) -> dict[str, str]:
    """Return the headers of an error: when to try again, and that a refusal
    need not be tried again."""
    found = {"content-type": "application/json"}
    wait = error.get("retry_after_ms")
    if isinstance(wait, int):
        found["retry-after"] = str(-(-wait // 1000))
    if str(error.get("code", "")).startswith(("budget.", "policy.", "proxy.")):
        found |= STATUS
    return found


def is_ours(error: BaseException) -> bool:
    """Whether an error has a row of its own in the table."""
    return isinstance(error, SquadError) and surface_of(error).http != 500
