"""What the A2A surface offers: the task as a workflow, looks at tasks, and
notifications of what becomes of them."""

from __future__ import annotations

from typing import Any

from agentsquad.kernel.registry import Plugin
from agentsquad.surfaces.a2a import push_actions
from agentsquad.surfaces.a2a.actions import show, skills, tasks
from agentsquad.surfaces.a2a.contract import Webhooks
from agentsquad.surfaces.a2a.fetch import fetch
from agentsquad.surfaces.a2a.workflow import a2a_task

_PUSH = """package a2a.push

actions := {"a2a.push_set", "a2a.push_remove", "a2a.push_again", "a2a.push_send", "a2a.fetch"}

who := split(input.actor, ":")[0]

# Due notifications leave outside of any run; access asks those from afar for a role besides.
outside if not input.facts.run

allow contains {"clause": "a2a.push.clients", "reason": "who asks for a task may be told"} if {
	who in {"person", "service"}
	outside
}

deny contains {"clause": "a2a.push.inside", "reason": "a run tells nobody elsewhere so"} if {
	not outside
}
"""


def webhooks(settings: Any) -> Webhooks:
    """Return what delivers notifications."""
    from agentsquad.surfaces.a2a.adapters.webhooks import HttpWebhooks
    from agentsquad.surfaces.a2a.reachable import allowed, switched

    variables = settings.environment
    return HttpWebhooks(
        switched(variables.get("SQUAD_A2A_PUSH") or "on"),
        allowed(variables.get("SQUAD_A2A_REACH") or ""),
        variables.get("SSL_CERT_FILE"),
    )


plugin = Plugin(
    name="a2a",
    actions=(
        show,
        skills,
        tasks,
        fetch,
        push_actions.push_set,
        push_actions.push_show,
        push_actions.push_list,
        push_actions.push_remove,
        push_actions.push_again,
        push_actions.push_send,
    ),
    workflows=(a2a_task,),
    ports={Webhooks: webhooks},
    policies={"a2a/push.rego": _PUSH},
)
