"""Roles that are resources: their kind, and those that the system log holds.

They are kept in the namespace `system`: whoever could change a role in a
namespace of their own could give themselves more than they were granted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from agentsquad.kernel.event import Event
from agentsquad.kernel.ports import EventStore
from agentsquad.kernel.resource import Kind

BUILT_IN = ("viewer", "operator", "approver", "author", "admin")
APPLIED, DELETED = "resource.applied", "resource.deleted"
STREAM = "resource/Role/"
PAGE = 1000

_GLOBS = {
    "type": "array",
    "minItems": 1,
    "maxItems": 200,
    "items": {"type": "string", "pattern": r"^[a-z*][a-z0-9_.*]*$", "maxLength": 80},
}
_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "description": "what whoever holds the role may do; rules add up, nothing takes away",
    "required": ["rules"],
    "additionalProperties": False,
    "properties": {
        "description": {"type": "string", "description": "whom it is for"},
        "rules": {
            "type": "array",
            "minItems": 1,
            "maxItems": 100,
            "description": "each allows what fits all of it",
            "items": {
                "type": "object",
                "required": ["verbs"],
                "additionalProperties": False,
                "properties": {
                    "verbs": {
                        **_GLOBS,
                        "description": "actions, with * for any letters",
                        "examples": [["runs.*", "resources.get"]],
                    },
                    "except": {**_GLOBS, "description": "actions left out of them"},
                    "effects": {
                        "type": "array",
                        "minItems": 1,
                        "uniqueItems": True,
                        "items": {"enum": ["pure", "read", "write", "irreversible"]},
                        "description": "only actions with these effects",
                    },
                    "kinds": {
                        "type": "array",
                        "minItems": 1,
                        "maxItems": 100,
                        "items": {"type": "string", "pattern": "^[A-Z][A-Za-z0-9]*$"},
                        "description": "only where one resource of these kinds is meant",
                        "examples": [["Agent"]],
                    },
                },
            },
        },
    },
}

ROLE = Kind(
    name="Role",
    schema=_SCHEMA,
    summary="A role: which actions whoever holds it may call; kept in the namespace system.",
    realm="system",
)


class RoleBook:
    """The roles that are applied now, as of the newest event looked at.

    `version` grows with each change, so that decisions may be remembered until
    then.
    """

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._at = 0
        self._reading = asyncio.Lock()
        self.version = 0
        self.rules: dict[str, list[Any]] = {}

    async def follow(self) -> None:
        """Take in what was written since, by whomever."""
        size = await self._store.size()
        if size == self._at:
            return
        async with self._reading:
            while self._at < size:
                page = await self._store.read(after=self._at, limit=PAGE, types=(APPLIED, DELETED))
                for event in page:
                    self._evolve(event)
                self._at = page[-1].seq if len(page) == PAGE else size

    def _evolve(self, event: Event) -> None:
        if not event.stream.startswith(STREAM):
            return
        self.version += 1
        name = event.stream.removeprefix(STREAM)
        payload = event.payload or {}
        if event.type == APPLIED and "resource" in payload:
            self.rules[name] = payload["resource"]["spec"]["rules"]
        else:
            self.rules[name] = []  # known still: it is none of the business now
