"""What a manifest can say beyond a graph of steps: races, pipelines, values,
failures on purpose, what is done instead of a failed step, and what a run
answers to those who ask it.

Apart from `interpret`, which knows how a graph is done; everything here is said
in terms of that.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from agentsquad.kernel import hashing
from agentsquad.kernel.errors import ConflictError, DeniedError, SquadError
from agentsquad.runtime.control import expression
from agentsquad.runtime.control.quantity import duration_ms
from agentsquad.runtime.control.scope import Doer, Node, Scope
from agentsquad.runtime.engine.inbound.contract import Escalation

PIPELINE_LIMIT = 8


class FailedOnPurposeError(ConflictError):
    """The manifest says that it fails here."""

    code = "workflow.failed"


class StalledError(ConflictError):
    """A loop goes on without getting anywhere."""

    code = "workflow.stalled"


class UpdateRefusedError(DeniedError):
    """The manifest does not take this update now."""

    code = "workflow.update"


async def race(one: Doer, node: Node, scope: Scope) -> Any:
    """Do alternatives side by side until the first is done; return its name and
    its outputs by node."""

    async def run(choice: Mapping[str, Any]) -> Any:
        await one.graph(choice["nodes"], scope)
        return {"won": choice["name"], "nodes": one.outputs_of(choice["nodes"])}

    return await one.ctx.race(*(run(choice) for choice in node["race"]))


async def pipeline(one: Doer, node: Node, scope: Scope) -> list[Any]:
    """Send the elements of a list through stages; each begins as soon as the
    one before is done with an element."""
    asked = node["pipeline"]
    items = one.evaluated(expression.condition(asked["over"]), scope)

    def stage(step: Node) -> Callable[[Any], Awaitable[Any]]:
        async def work(item: Any) -> Any:
            return await one.node(step, scope.with_(item=item))

        return work

    stages = [stage(step) for step in asked["stages"]]
    limit = asked.get("limit", PIPELINE_LIMIT)
    return [result async for result in one.ctx.pipeline(items, *stages, limit=limit)]


def failed(one: Doer, node: Node, scope: Scope) -> FailedOnPurposeError:
    """Return the error that a node raises on purpose."""
    said = node["fail"]
    return FailedOnPurposeError(
        str(one.filled(said["message"], scope)), code=said.get("code", FailedOnPurposeError.code)
    )


async def caught(one: Doer, node: Node, scope: Scope, error: SquadError) -> Any:
    """Do what the manifest says instead of a step that failed; `error` is known
    there."""
    rule = node["catch"]
    if "codes" in rule and error.code not in rule["codes"]:
        raise error
    inner = scope.with_(error={"code": error.code, "message": error.message})
    await one.graph(rule["nodes"], inner)
    return {"error": error.code, "nodes": one.outputs_of(rule["nodes"])}


class Progress:
    """Whether a loop gets anywhere."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._most = node["loop"].get("stall")
        self._was: str | None = None
        self._same = 0

    def look(self, last: Any) -> None:
        """Take in the outcome of a round; StalledError when too many were
        alike."""
        if self._most is None:
            return
        now = hashing.digest(last)
        self._same = self._same + 1 if now == self._was else 0
        self._was = now
        if self._same >= self._most:
            raise StalledError(
                f"node {self._node['id']!r} came to the same {self._same + 1} times in a row",
                hint="correct loop.while, or what the round does",
            )


def ladder(rungs: list[Mapping[str, Any]]) -> tuple[Escalation, ...]:
    """Return whom a question goes to after which time."""
    return tuple(
        Escalation(
            after_ms=duration_ms(rung["after"]),
            roles=tuple(rung["roles"]),
            because=rung.get("because", ""),
            keep=rung.get("keep", True),
        )
        for rung in rungs
    )


def listen(one: Doer, scope: Scope) -> None:
    """Let the run answer the queries and take the updates of its manifest."""
    for name, text in (one.spec.get("queries") or {}).items():
        one.ctx.on_query(name, _query(one, text, scope))
    for name, spec in (one.spec.get("updates") or {}).items():
        one.ctx.on_update(name, _update(one, spec, scope), validator=_allows(one, spec, scope))


def _query(one: Doer, text: Any, scope: Scope) -> Callable[[Any], Any]:
    return lambda value: one.filled(text, scope.with_(update=value))


def _allows(one: Doer, spec: Mapping[str, Any], scope: Scope) -> Callable[[Any], None]:
    def validate(value: Any) -> None:
        if "when" in spec and not one.holds(spec["when"], scope.with_(update=value)):
            raise UpdateRefusedError(f"it does not hold that {spec['when']}")

    return validate


def _update(one: Doer, spec: Mapping[str, Any], scope: Scope) -> Callable[[Any], Awaitable[Any]]:
    async def handle(value: Any) -> Any:
        inner = scope.with_(update=value)
        await one.graph(spec["nodes"], inner)
        if "result" in spec:
            return one.filled(spec["result"], inner)
        return one.outputs_of(spec["nodes"])

    return handle
