"""Receiving: who is to be notified, as A2A 1.0 writes it and as our actions do.
Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentsquad.kernel.errors import InvalidError

RECEIVING = (
    "CreateTaskPushNotificationConfig",
    "GetTaskPushNotificationConfig",
    "ListTaskPushNotificationConfigs",
    "DeleteTaskPushNotificationConfig",
)
_NAMES = (("id", "config"), ("url", "url"), ("token", "token"))
_SHOWN = (("scheme", "scheme"), ("credentials", "credentials"))


def wanted(given: Any, spoken: str) -> dict[str, Any]:
    """Return what `a2a.push_set` takes, of a configuration; raises where it is
    none."""
    if not isinstance(given, Mapping):
        raise InvalidError("expected a push configuration to be an object", code="a2a.params")
    found = {"version": spoken, **_texts(given, _NAMES)}
    if not found.get("url"):
        raise InvalidError("expected url to be a text", code="a2a.params")
    shown = given.get("authentication")
    if shown is not None and not isinstance(shown, Mapping):
        raise InvalidError("expected authentication to be an object", code="a2a.params")
    return found | _texts(shown or {}, _SHOWN)


def _texts(given: Mapping[str, Any], names: tuple[tuple[str, str], ...]) -> dict[str, str]:
    found = {}
    for name, ours in names:
        value = given.get(name)
        if value is None:
            continue
        if not isinstance(value, str):
            raise InvalidError(f"expected {name} to be a text", code="a2a.params")
        found[ours] = value
    return found


def shown(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return a receiver without its secrets: those it knows itself."""
    body = {"taskId": found["task"], "id": found["config"], "url": found["url"]}
    if found.get("scheme"):
        body["authentication"] = {"scheme": found["scheme"]}
    return body
