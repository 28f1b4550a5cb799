"""Completion: what may stand in an argument of a prompt or in an address."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agentsquad.kernel.errors import DeniedError, MissingError
from agentsquad.kernel.jsonrpc import PARAMS, RpcError
from agentsquad.surfaces.gateway.contract import Call, Caller, Gateway
from agentsquad.surfaces.mcp import prompts, resources

VALUES_MAX = 100  # by the protocol
RUNS_MAX = 500
_LISTS = {
    "runs": ("runs.list", "id"),
    "inbox": ("runs.inbox", "id"),
    "names": ("resources.get", "name"),
}
_ARGUMENTS = {"run": "runs", "kind": "kinds", "name": "names"}


async def completed(gateway: Gateway, caller: Caller, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return what begins as the argument does."""
    ref, argument = params.get("ref"), params.get("argument")
    if not isinstance(ref, dict) or not isinstance(argument, dict):
        raise RpcError("expected ref and argument to be objects", number=PARAMS)
    name, value = argument.get("name"), argument.get("value")
    if not isinstance(name, str) or not isinstance(value, str):
        raise RpcError("expected argument to have a name and a value", number=PARAMS)
    context = params.get("context")
    given = context.get("arguments") if isinstance(context, dict) else None
    found = await _values(
        gateway, caller, _source(ref, name), given if isinstance(given, dict) else {}
    )
    fitting = sorted({one for one in found if one.startswith(value)})
    return {
        "completion": {
            "values": fitting[:VALUES_MAX],
            "total": len(fitting),
            "hasMore": len(fitting) > VALUES_MAX,
        }
    }


def _source(ref: Mapping[str, Any], argument: str) -> str:
    """Return from what an argument is completed, empty for nothing."""
    if ref.get("type") == "ref/prompt":
        prompt = prompts.named(ref.get("name"))
        return next((one.of for one in prompt.arguments if one.name == argument), "")
    if ref.get("type") == "ref/resource":
        uri = ref.get("uri")
        known = {one["uriTemplate"] for one in resources.templates()}
        if uri not in known:
            raise RpcError(f"no template {str(uri)[:100]!r}", number=PARAMS)
        return _ARGUMENTS.get(argument, "") if f"{{{argument}}}" in str(uri) else ""
    raise RpcError("expected ref to be of type ref/prompt or ref/resource", number=PARAMS)


async def _values(
    gateway: Gateway, caller: Caller, source: str, given: Mapping[str, Any]
) -> Sequence[str]:
    if source == "kinds":
        return list(gateway.kinds())
    if source not in _LISTS:
        return []
    action, key = _LISTS[source]
    value: dict[str, Any] = {}
    if source == "runs":
        value = {"limit": RUNS_MAX}
    elif source == "names":
        value = {"kind": given.get("kind")}
        if not isinstance(value["kind"], str):
            return []
    try:
        answer = await gateway.call(Call(action=action, value=value, caller=caller))
    except (DeniedError, MissingError):
        return []
    items = answer.value.get("items", []) if isinstance(answer.value, Mapping) else []
    return [_text(item, key) for item in items]


def _text(item: Mapping[str, Any], key: str) -> str:
    found = item.get(key)
    if found is None and isinstance(item.get("metadata"), Mapping):
        found = item["metadata"].get(key)
    return str(found or "")
