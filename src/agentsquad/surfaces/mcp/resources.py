"""Resources: runs, events, kinds and blobs under `squad://…`, read through the
same actions as anywhere else."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, quote, unquote

import msgspec

from agentsquad.kernel.errors import DeniedError, InvalidError, MissingError
from agentsquad.kernel.event import Event
from agentsquad.surfaces.gateway.contract import Call, Caller, Gateway

SCHEME = "squad://"
JSON = "application/json"
EVENTS_MAX = 500

# The template of each, its name and its words.
TEMPLATES = (
    ("runs/{run}", "run", "A run: its steps in order, what they cost, how it stands"),
    ("runs/{run}/events", "run-events", "Every event of a run and of its children"),
    ("runs/{run}/why", "run-why", "What led to a run's outcome"),
    ("events{?after,limit}", "events", "Events of the log after a number, oldest first"),
    ("kinds/{kind}", "kind", "All resources of a kind"),
    ("kinds/{kind}/{name}", "resource", "One resource"),
    ("blobs/{digest}", "blob", "Content by its digest, sha256:…"),
)
FIXED = (
    ("runs", "runs", "Runs, newest first"),
    ("inbox", "inbox", "Questions that wait for a person"),
    ("events", "events", "The newest events of the log"),
)
_PART = r"([^/?#]+)"
_PLACES = tuple(
    (re.compile(pattern), name)
    for pattern, name in (
        ("runs", "runs"),
        ("inbox", "inbox"),
        ("events", "events"),
        (f"runs/{_PART}", "run"),
        (f"runs/{_PART}/events", "run-events"),
        (f"runs/{_PART}/why", "why"),
        (f"kinds/{_PART}", "kind"),
        (f"kinds/{_PART}/{_PART}", "resource"),
        (f"blobs/{_PART}", "blob"),
    )
)


class ResourceUriError(MissingError):
    """There is no resource of that address."""

    code = "mcp.resource"


def templates() -> list[dict[str, Any]]:
    """Return the addresses that can be made."""
    return [
        {"uriTemplate": SCHEME + path, "name": name, "description": words, "mimeType": JSON}
        for path, name, words in TEMPLATES
    ]


def fixed(kinds: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the resources that are always there."""
    found = [_listed(path, name, words) for path, name, words in FIXED]
    for name, kind in sorted(kinds.items()):
        found.append(_listed(f"kinds/{name}", name, kind.summary))
    return found


def of_run(line: Mapping[str, Any]) -> dict[str, Any]:
    """Return a run of a list as a resource."""
    words = f"{line['workflow']}: {line['status']}"
    return _listed(f"runs/{quote(line['id'], safe='')}", line["id"], words)


def _listed(path: str, name: str, words: str) -> dict[str, Any]:
    return {"uri": SCHEME + path, "name": name, "description": words, "mimeType": JSON}


def place(uri: str) -> tuple[str, tuple[str, ...], dict[str, str]]:
    """Return (what, its parts, its query) for an address."""
    path, _, query = uri.removeprefix(SCHEME).partition("?")
    if uri.startswith(SCHEME) and len(uri) <= 2048:
        for pattern, name in _PLACES:
            found = pattern.fullmatch(path)
            if found is not None:
                told = {key: values[-1] for key, values in parse_qs(query).items()}
                return name, tuple(unquote(part) for part in found.groups()), told
    raise ResourceUriError(
        f"no resource {uri[:200]!r}",
        hint="resources/list and resources/templates/list say which there are",
    )


async def read(gateway: Gateway, caller: Caller, uri: str) -> dict[str, Any]:
    """Return the contents of one resource."""
    what, parts, query = place(uri)
    if what == "blob":
        file = await gateway.blob(caller, parts[0])
        return _contents(uri, file.data, file.media_type)
    action, value = _asked(what, parts, query)
    answer = await gateway.call(Call(action=action, value=value, caller=caller))
    found = answer.value
    if what == "resource" and isinstance(found, Mapping) and found.get("items"):
        found = found["items"][0]
    return _contents(uri, msgspec.json.encode(found), JSON)


def _asked(
    what: str, parts: tuple[str, ...], query: Mapping[str, str]
) -> tuple[str, dict[str, Any]]:
    if what == "runs":
        return "runs.list", {}
    if what == "inbox":
        return "runs.inbox", {}
    if what == "events":
        return "log.show", {**_number(query, "after"), **_number(query, "limit", EVENTS_MAX)}
    if what == "run":
        return "runs.show", {"run": parts[0]}
    if what == "run-events":
        return "log.show", {"run": parts[0], "after": 0, "limit": EVENTS_MAX}
    if what == "why":
        return "explain.why", {"subject": parts[0]}
    if what == "kind":
        return "resources.get", {"kind": parts[0]}
    return "resources.get", {"kind": parts[0], "name": parts[1]}


def _number(query: Mapping[str, str], name: str, most: int = 2**53) -> dict[str, int]:
    text = query.get(name)
    if text is None:
        return {}
    if not text.isascii() or not text.isdigit() or len(text) > 16:
        raise InvalidError(f"{name} must be a whole number, not {text[:40]!r}", code="mcp.uri")
    return {name: min(int(text), most)}


def _contents(uri: str, data: bytes, media_type: str) -> dict[str, Any]:
    body: dict[str, Any] = {"uri": uri, "mimeType": media_type}
    textual = media_type.startswith("text/") or media_type.partition(";")[0].endswith(
        ("json", "xml", "yaml")
    )
    if textual:
        try:
            return {**body, "text": data.decode()}
        except UnicodeDecodeError:
            pass
    return {**body, "blob": base64.b64encode(data).decode()}


def touched(event: Event) -> list[str]:
    """Return the addresses that an event makes read otherwise."""
    found = [SCHEME + "events"]
    first, _, rest = event.stream.partition("/")
    if first == "run":
        found.append(SCHEME + "runs")
        found.append(SCHEME + "inbox")
        parts = rest.split("/")
        for length in range(1, len(parts) + 1):  # a child's event is one of all above it
            run = quote("/".join(parts[:length]), safe="")
            found += [f"{SCHEME}runs/{run}{end}" for end in ("", "/events", "/why")]
    elif first == "resource":
        kind, _, name = rest.partition("/")
        found.append(f"{SCHEME}kinds/{quote(kind, safe='')}")
        found.append(f"{SCHEME}kinds/{quote(kind, safe='')}/{quote(name, safe='')}")
    return found


def renews_list(event: Event) -> bool:
    """Whether an event changes which resources are listed."""
    return event.type == "run.started"


async def listed_runs(
    gateway: Gateway, caller: Caller, cursor: str | None, limit: int
) -> tuple[list[dict[str, Any]], str | None]:
    """Return a page of runs as resources, and the cursor of the next; nothing
    where the caller may not list runs."""
    value: dict[str, Any] = {"limit": limit}
    if cursor is not None:
        value["cursor"] = cursor
    try:
        answer = await gateway.call(Call(action="runs.list", value=value, caller=caller))
    except DeniedError:
        return [], None
    return [of_run(line) for line in answer.value["items"]], answer.value.get("next")
