"""Commands: what a workflow wants done next, as values.

The shell carries them out. Every command has a position, the place in the
workflow's own order ("3", or "4.1.2" for the second step of branch 1 of step
4), which does not depend on how branches interleave, and a fingerprint that a
journal entry at the same position must match.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from agentsquad.kernel.action import RetryPolicy
from agentsquad.runtime.engine.contract import Approval
from agentsquad.runtime.engine.inbound.contract import Rung


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """Call an action.

    `input` is plain JSON; `facts` go to policy; `undoes` is a position.
    """

    position: str
    name: str
    action: str
    input: Any
    retry: RetryPolicy | None = None
    timeout_ms: int | None = None
    approvals: tuple[Approval, ...] = ()
    facts: Mapping[str, Any] = {}
    undoes: str | None = None
    waits: bool = False  # for a person, where it fails for good
    attempt: int = 0  # how often a person had it tried again


class Sleep(msgspec.Struct, frozen=True, kw_only=True):
    """Wait until `due_ms`."""

    position: str
    due_ms: int
    name: str = "sleep"


class WaitSignal(msgspec.Struct, frozen=True, kw_only=True):
    """Wait for a signal, at most until `due_ms`."""

    position: str
    name: str
    due_ms: int | None = None
    escalate: tuple[Rung, ...] = ()


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """Ask a person to approve one action with exactly this input."""

    position: str
    name: str
    action: str
    input: Any
    evidence: Any
    roles: tuple[str, ...]
    because: str
    requester: str
    expires_ms: int | None = None
    escalate: tuple[Rung, ...] = ()
    refuse: bool = False  # nobody's answer is a no


class Child(msgspec.Struct, frozen=True, kw_only=True):
    """Run another workflow and wait for its end."""

    position: str
    name: str
    workflow: str
    input: Any
    key: str | None = None
    timeout_ms: int | None = None
    waits: bool = False
    attempt: int = 0
    racing: bool = False  # neither it nor what is below it may change the world


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """Answer an update; `came` is {"output": …} or {"error": …}."""

    position: str
    key: str
    name: str
    came: dict[str, Any]


Command = Call | Sleep | WaitSignal | Ask | Child | Reply


def fingerprint(command: Command) -> tuple[str, Any]:
    """Return what identifies a step: (kind and name, plain JSON input)."""
    if isinstance(command, Call):
        return f"call {command.action}", command.input
    if isinstance(command, Child):
        return f"run {command.workflow}", command.input
    if isinstance(command, Ask):
        return f"approve {command.action}", command.input
    if isinstance(command, WaitSignal):
        return f"signal {command.name}", None
    if isinstance(command, Reply):
        return f"answer {command.name}", None
    return "sleep", None
