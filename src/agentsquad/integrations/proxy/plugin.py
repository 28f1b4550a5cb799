"""What the proxy offers: its command, the workflow of a session, the kind
Upstream, and the door agents knock at."""

from __future__ import annotations

from typing import Any

from agentsquad.integrations.proxy.actions import (
    forward,
    list_dead,
    retry_dead,
    run_proxy,
    take,
)
from agentsquad.integrations.proxy.contract import Listener, Programs
from agentsquad.integrations.proxy.desk import Desk
from agentsquad.integrations.proxy.session import proxy_session
from agentsquad.integrations.proxy.upstream import KIND
from agentsquad.kernel.registry import Plugin

_OPERATORS = """package proxy.operators

actions := {"proxy.run", "proxy.retry"}

allow contains {"clause": "proxy.operators.person", "reason": "a person starts agents"} if {
	startswith(input.actor, "person:")
}

allow contains {"clause": "proxy.operators.service", "reason": "a service starts agents"} if {
	startswith(input.actor, "service:")
}
"""


def listener(settings: Any) -> Listener:
    """Return what opens doors."""
    from agentsquad.integrations.proxy.adapters.server import HttpListener

    return HttpListener()


def programs(settings: Any) -> Programs:
    """Return what starts programs."""
    from agentsquad.integrations.proxy.adapters.programs import SystemPrograms

    return SystemPrograms()


def mounted(path: str, chosen: Any) -> list[Any]:
    """Return the routes of the proxy on a server, below a path; `chosen` says
    who answers a connection."""
    from agentsquad.integrations.proxy.adapters.mounted import mounted

    return list(mounted(path, chosen))


plugin = Plugin(
    name="proxy",
    actions=(run_proxy, take, forward, list_dead, retry_dead),
    kinds=(KIND,),
    workflows=(proxy_session,),
    policies={"proxy/operators.rego": _OPERATORS},
    ports={Desk: lambda settings: Desk(), Listener: listener, Programs: programs},
)
