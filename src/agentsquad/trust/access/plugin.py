"""What access offers: namespaces and their actions, and who may do what."""

from __future__ import annotations

from agentsquad.kernel.registry import Plugin
from agentsquad.trust.access.actions import (
    create_namespace,
    delete_namespace,
    list_namespaces,
)

_OWNER = """package access.owner

actions := {"namespaces.*"}

allow contains {"clause": "access.owner.person", "reason": "the owner of the files acts"} if {
	startswith(input.actor, "person:")
	not input.facts.surface
}
"""

plugin = Plugin(
    name="access",
    actions=(list_namespaces, create_namespace, delete_namespace),
    policies={"access/owner.rego": _OWNER},
)
