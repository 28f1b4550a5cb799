"""Readings: which action stands behind which address.

The only place where actions are named. An address holds some fields of the
action's input (`{run}`), the others come from its parameters (GET, DELETE) or
its body. Verbs on runs and approvals are found, not listed: every operation
`runs.VERB` that takes a `run` is at `/runs/{run}/VERB`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from agentsquad.surfaces.gateway.operation import Operation


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """One method at one address, and the action it stands for.

    `status` is that of success; `location` the field of the output that names
    what was made.
    """

    method: str
    path: str
    action: str
    status: int = 200
    location: str = ""
    fixed: Mapping[str, object] = {}


LISTED = (
    Reading(method="GET", path="/runs", action="runs.list"),
    Reading(method="POST", path="/runs", action="runs.start", status=201, location="run"),
    Reading(method="GET", path="/runs/{run}", action="runs.show"),
    Reading(method="GET", path="/approvals", action="runs.inbox"),
    Reading(method="GET", path="/events", action="log.show"),
    Reading(method="GET", path="/events/{seq}", action="log.show"),
)
# noun of the address, first word of the action, field of the input
NOUNS = (("runs", "runs", "run"), ("approvals", "approvals", "item"))
SHOWING = ("runs.show",)


def readings(operations: Iterable[Operation]) -> list[Reading]:
    """Return those whose actions are offered, fixed addresses first."""
    offered = {one.action: one for one in operations}
    found = [one for one in LISTED if one.action in offered]
    for noun, subsystem, field in NOUNS:
        for name, operation in offered.items():
            first, _, verb = name.partition(".")
            if first != subsystem or name in SHOWING or not _required(operation, field):
                continue
            path = f"/{noun}/{{{field}}}/{verb.replace('_', '-')}"
            found.append(Reading(method="POST", path=path, action=name))
    return found


def _required(operation: Operation, field: str) -> bool:
    return any(one.name == field and one.required for one in operation.fields)
