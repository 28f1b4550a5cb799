"""What access offers: namespaces and their actions, and who may do what."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files

from agentsquad.kernel.policy import PolicyEngine
from agentsquad.kernel.ports import Clock, EventStore
from agentsquad.kernel.registry import Plugin
from agentsquad.kernel.resource import Kind
from agentsquad.trust.access.actions import (
    create_namespace,
    delete_namespace,
    list_namespaces,
)
from agentsquad.trust.access.asking import check_access, who_can
from agentsquad.trust.access.contract import Access
from agentsquad.trust.access.role import ROLE

_HERE = files(__package__)


def policies() -> dict[str, str]:
    """Return the rules of access, by the names they mount under."""
    return {
        f"access/{entry.name}": entry.read_text("utf-8")
        for entry in sorted(_HERE.joinpath("policy").iterdir(), key=lambda one: one.name)
        if entry.name.endswith(".rego")
    }


def open_access(
    policy: PolicyEngine, store: EventStore, clock: Clock, kinds: Mapping[str, Kind]
) -> Access:
    """Return the port `Access` over the log and policy of the namespace
    `system`; assembly binds it there."""
    from agentsquad.trust.access.decision import RoleAccess

    return RoleAccess(policy, store, clock, kinds)


plugin = Plugin(
    name="access",
    actions=(list_namespaces, create_namespace, delete_namespace, who_can, check_access),
    kinds=(ROLE,),
    policies=policies(),
)
