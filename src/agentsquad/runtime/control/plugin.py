"""What control offers: resources and their actions, and the workflow kind."""

from __future__ import annotations

from typing import Any

from agentsquad.kernel.registry import Plugin
from agentsquad.runtime.control import actions, collection, guards, happened, messages, pools
from agentsquad.runtime.control.adapters.cel import CelExpressions
from agentsquad.runtime.control.adapters.files import FileSource, LocalFiles
from agentsquad.runtime.control.contract import Expressions, Location, Shipped, TextSource
from agentsquad.runtime.control.interpret import manifest_workflow
from agentsquad.runtime.control.kinds import agent_workflow
from agentsquad.runtime.control.manifests import find_workflow
from agentsquad.runtime.control.net.contract import (
    NetFile,
    NetMissingError,
    NetUnreadableError,
)
from agentsquad.runtime.control.resource import NothingShipped
from agentsquad.runtime.control.schedules import (
    backfill,
    continue_schedule,
    list_schedules,
    pause_schedule,
    run_schedules,
)
from agentsquad.runtime.control.subscription import subscription_kind

NET_MAX = 256 * 2**20  # bytes of a file with a net

_OPERATORS = """package control.operators

actions := {
	"resources.apply", "resources.delete", "resources.put",
	"schedules.pause", "schedules.continue", "schedules.backfill",
	"messages.publish", "messages.deliver", "messages.redeliver",
}

allow contains {"clause": "control.operators.person", "reason": "a person sets what should be"} if {
	startswith(input.actor, "person:")
}
"""


def file_source(settings: Any) -> FileSource:
    """Return the reader of manifest files."""
    return FileSource()


def net_files(settings: Any) -> NetFile:
    """Return the reader and writer of files with nets."""
    return LocalFiles(NET_MAX, NetMissingError, NetUnreadableError)


def nothing_shipped(settings: Any) -> Shipped:
    """Return an empty shelf; assembly mounts one with what solutions bring."""
    return NothingShipped()


def default_namespace(settings: Any) -> Location:
    """Return the namespace of an installation that has no other; assembly
    says which one it is."""
    return Location()


def cel_expressions(settings: Any) -> CelExpressions:
    """Return the expression language of manifests."""
    return CelExpressions()


plugin = Plugin(
    name="control",
    actions=(
        actions.apply_resources,
        actions.get_resources,
        actions.delete_resource,
        actions.explain_kind,
        collection.list_resources,
        collection.put_resource,
        happened.list_events,
        find_workflow,
        list_schedules,
        run_schedules,
        pause_schedule,
        continue_schedule,
        backfill,
        messages.publish,
        messages.said,
        messages.deliver,
        messages.redeliver,
        messages.subscriptions,
    ),
    kinds=(
        agent_workflow(CelExpressions()),
        guards.KIND,
        pools.KIND,
        subscription_kind(CelExpressions()),
    ),
    workflows=(manifest_workflow(CelExpressions()),),
    policies={"control/operators.rego": _OPERATORS},
    ports={
        TextSource: file_source,
        NetFile: net_files,
        Expressions: cel_expressions,
        Shipped: nothing_shipped,
        Location: default_namespace,
    },
)
