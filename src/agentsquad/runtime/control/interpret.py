"""Interpreting an AgentWorkflow: the graph of a manifest as steps of a run.

The whole spec is the run's input, so a run goes on under the manifest it began
with, whatever is applied since. A node starts as soon as all it depends on is
done; what has a compensation is undone in reverse when the run does not
succeed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from agentsquad.kernel import hashing
from agentsquad.kernel.action import RetryPolicy
from agentsquad.kernel.errors import ConflictError, InvalidError, SquadError
from agentsquad.kernel.schema import problems
from agentsquad.runtime.control import expression, special
from agentsquad.runtime.control.contract import Expressions
from agentsquad.runtime.control.expression import Expression
from agentsquad.runtime.control.quantity import agent_reference, duration_ms
from agentsquad.runtime.control.scope import Node, Scope
from agentsquad.runtime.engine.contract import Workflow, WorkflowContext, source_digest
from agentsquad.runtime.resilience.retry import next_delay_ms

NAME = "agent-workflow"


class ManifestInput(msgspec.Struct, frozen=True, kw_only=True):
    """A manifest to run and the input of the run."""

    name: str
    spec: dict[str, Any]
    digest: str = ""
    input: Any = None


class NodeFailedError(ConflictError):
    """A node could not be done."""

    code = "workflow.node"


def manifest_workflow(expressions: Expressions) -> Workflow:
    """Return the workflow that runs manifests."""

    async def run_manifest(ctx: WorkflowContext, value: ManifestInput) -> Any:
        return await Interpreter(ctx, value, expressions).run()

    return Workflow(
        name=NAME,
        fn=run_manifest,
        input=ManifestInput,
        output=Any,
        digest=source_digest(NAME, "1", Interpreter, special),
        summary="Run an AgentWorkflow manifest.",
    )


class Interpreter:
    """One run of one manifest."""

    def __init__(
        self, ctx: WorkflowContext, value: ManifestInput, expressions: Expressions
    ) -> None:
        self.ctx = ctx
        self.spec = value.spec
        self.value = value
        self.expressions = expressions
        self.saga = ctx.saga()
        self.outputs: dict[str, Any] = {}

    async def run(self) -> Any:
        """Do the graph and return the result the manifest asks for."""
        if "timeout" in self.spec:
            self.ctx.deadline(duration_ms(self.spec["timeout"]))
        self._check("input", self.value.input)
        nodes = self.spec["graph"]["nodes"]
        scope = Scope({"input": self.value.input, "nodes": self.outputs})
        special.listen(self, scope)
        await self.graph(nodes, scope)
        again = self.spec.get("continueAsNew")
        if again is not None and self.holds(again["when"], scope):
            following = self.filled(again.get("input", self.value.input), scope)
            raise self.ctx.continue_as_new(
                msgspec.to_builtins(msgspec.structs.replace(self.value, input=following))
            )
        if "result" in self.spec:
            output = self.filled(self.spec["result"], scope)
        else:
            needed = {name for node in nodes for name in node.get("dependsOn", ())}
            output = {n["id"]: self.outputs.get(n["id"]) for n in nodes if n["id"] not in needed}
        self._check("output", output)
        return output

    def _check(self, which: str, value: Any) -> None:
        schema = self.spec.get(which)
        if schema is None:
            return
        for one in problems(schema, value)[:1]:
            raise InvalidError(
                f"{which} of {self.value.name}, {one.at or '/'}: expected {one.expected}",
                code=f"workflow.{which}",
                hint=one.fix,
            )

    async def graph(self, nodes: Sequence[Node], scope: Scope) -> None:
        """Do sibling nodes, each as soon as what it depends on is done."""
        latches = {node["id"]: self.ctx.latch() for node in nodes}
        failed: set[str] = set()

        async def one(node: Node) -> None:
            done = False
            try:
                for name in node.get("dependsOn", ()):
                    await latches[name]
                if failed.isdisjoint(node.get("dependsOn", ())):
                    self.outputs[node["id"]] = await self.node(node, scope)
                    done = True
            finally:
                if not done:
                    failed.add(node["id"])
                latches[node["id"]].open()

        await self.ctx.parallel(*(one(node) for node in nodes))

    def outputs_of(self, nodes: Sequence[Node]) -> dict[str, Any]:
        """Return what some nodes gave, by id; None of those not done."""
        return {node["id"]: self.outputs.get(node["id"]) for node in nodes}

    async def node(self, node: Node, scope: Scope) -> Any:
        """Do one node and return its output; None when its condition does not
        hold."""
        if "when" in node and not self.holds(node["when"], scope):
            return None
        if "catch" not in node:
            return await self.repeated(node, scope)
        try:
            return await self.repeated(node, scope)
        except SquadError as error:
            return await special.caught(self, node, scope, error)

    async def repeated(self, node: Node, scope: Scope) -> Any:
        """Do a node once, for each element of a list, or round after round."""
        if "foreach" in node:
            items = self.evaluated(expression.condition(node["foreach"]), scope)
            if not isinstance(items, list):
                raise NodeFailedError(f"foreach of node {node['id']!r} is not a list")
            width = node.get("limit") or node.get("parallelism") or 8

            async def each(pair: tuple[int, Any]) -> Any:
                return await self.body(node, scope.with_(index=pair[0], item=pair[1]))

            return await self.ctx.map(each, list(enumerate(items)), limit=width)
        if "loop" in node:
            return await self.loop(node, scope)
        return await self.body(node, scope)

    async def loop(self, node: Node, scope: Scope) -> Any:
        """Repeat a node while its condition holds."""
        last: Any = None
        progress = special.Progress(node)
        for index in range(node["loop"]["max"]):
            inner = scope.with_(index=index, last=last)
            if not self.holds(node["loop"]["while"], inner):
                return last
            last = await self.body(node, inner)
            progress.look(last)
        if self.holds(node["loop"]["while"], scope.with_(index=node["loop"]["max"], last=last)):
            raise NodeFailedError(
                f"node {node['id']!r} was repeated {node['loop']['max']} times and is not done",
                hint="raise loop.max or correct loop.while",
            )
        return last

    async def body(self, node: Node, scope: Scope) -> Any:
        """Do what a node says, again if its retry policy says so; remember how
        to undo it."""
        place = self.saga.here() if "action" in node else None
        output = await self.tried(node, lambda: self.once(node, scope))
        if "compensate" in node:
            inner = scope.with_(nodes={**self.outputs, node["id"]: output})
            undo = node["compensate"]
            given = self.filled(undo.get("with", output), inner)
            self.saga.remember(undo["action"], given, node["id"], undoes=place)
        return output

    async def tried(self, node: Node, once: Callable[[], Awaitable[Any]]) -> Any:
        """Repeat turns and child runs that fail; actions are repeated at the
        door."""
        policy = retry_policy(node.get("retryPolicy") or self.spec.get("retryPolicy"))
        if "action" in node or policy is None:
            return await once()
        attempt = 0
        while True:
            attempt += 1
            try:
                return await once()
            except SquadError as error:
                wait = next_delay_ms(policy, attempt, error, self.ctx.random)
                if wait is None:
                    raise
                await self.ctx.sleep(wait)

    async def once(self, node: Node, scope: Scope) -> Any:
        """Do a node's body once."""
        limit = duration_ms(node["timeout"]) if "timeout" in node else None
        if "agent" in node:
            name, _ = agent_reference(node["agent"])
            task = self.filled(node["task"], scope) if "task" in node else None
            return await self.ctx.agent(name, self.given(node, scope), task=task, timeout_ms=limit)
        if "action" in node:
            output = await self.ctx.call(
                node["action"],
                self.given(node, scope) if "with" in node else {},
                name=node["id"],
                retry=retry_policy(node.get("retryPolicy") or self.spec.get("retryPolicy")),
                timeout_ms=limit,
                on_failure=node.get("onFailure") or self.spec.get("onFailure"),
            )
            return msgspec.to_builtins(output, str_keys=True)
        if "workflow" in node:
            return await self.sub(node["workflow"], self.given(node, scope), limit)
        if "nodes" in node:
            await self.graph(node["nodes"], scope)
            return self.outputs_of(node["nodes"])
        if "branch" in node:
            return await self.branch(node, scope)
        if "race" in node:
            return await special.race(self, node, scope)
        if "pipeline" in node:
            return await special.pipeline(self, node, scope)
        if "value" in node:
            return self.filled(node["value"], scope)
        if "fail" in node:
            raise special.failed(self, node, scope)
        return await self.wait(node, scope, limit)

    async def sub(self, name: str, value: Any, limit: int | None) -> Any:
        """Run another workflow, installed or applied, as a child."""
        found = await self.ctx.call("workflows.find", {"name": name})
        if found.spec is None:
            output = await self.ctx.run(name, value, timeout_ms=limit)
        else:
            wrapped = {"name": name, "spec": found.spec, "digest": found.digest, "input": value}
            output = await self.ctx.run(NAME, wrapped, timeout_ms=limit)
        return msgspec.to_builtins(output, str_keys=True)

    async def branch(self, node: Node, scope: Scope) -> Any:
        """Take the first choice whose condition holds."""
        for choice in node["branch"]:
            if "when" not in choice or self.holds(choice["when"], scope):
                await self.graph(choice["nodes"], scope)
                return self.outputs_of(choice["nodes"])
        return None

    async def wait(self, node: Node, scope: Scope, limit: int | None) -> Any:
        """Sleep, wait for a signal, or ask a person."""
        if "sleep" in node:
            await self.ctx.sleep(duration_ms(str(self.filled(node["sleep"], scope))))
            return None
        if "signal" in node:
            rungs = special.ladder(node.get("escalate", ()))
            more = {"escalate": rungs} if rungs else {}
            return await self.ctx.signal(node["signal"], timeout_ms=limit, **more)
        asked = node["approval"]
        answer = await self.ctx.approve(
            asked.get("action", "workflows.proceed"),
            self.filled(asked.get("with", {}), scope),
            evidence=self.filled(asked.get("evidence", {}), scope),
            roles=asked["roles"],
            because=self.filled(asked["because"], scope),
            expires_ms=duration_ms(asked["expires"]) if "expires" in asked else limit,
            **({"escalate": special.ladder(asked["escalate"])} if "escalate" in asked else {}),
        )
        if not answer.approved:
            raise NodeFailedError(
                f"{answer.approver} refused {node['id']!r}: {answer.reason}",
                code="workflow.refused",
            )
        return msgspec.to_builtins(answer)

    def given(self, node: Node, scope: Scope) -> Any:
        """Return a node's input: its `with`, else the run's input and what it
        depends on."""
        if "with" in node:
            return self.filled(node["with"], scope)
        before = {name: self.outputs.get(name) for name in node.get("dependsOn", ())}
        extra = {k: scope.names[k] for k in ("item", "index", "last") if k in scope.names}
        return {"input": self.value.input, **({"nodes": before} if before else {}), **extra}

    def holds(self, text: str, scope: Scope) -> bool:
        """Return whether a condition is true; anything but a boolean is
        refused."""
        answer = self.evaluated(expression.condition(text), scope)
        if not isinstance(answer, bool):
            raise NodeFailedError(f"the condition {text!r} is {answer!r}, neither true nor false")
        return answer

    def evaluated(self, part: Expression, scope: Scope) -> Any:
        """Return the value of one expression."""
        return self.expressions.evaluate(part.text, scope.names)

    def filled(self, value: Any, scope: Scope) -> Any:
        """Return a value with its expressions replaced by what they give."""
        if isinstance(value, Mapping):
            return {key: self.filled(inner, scope) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.filled(inner, scope) for inner in value]
        if not isinstance(value, str) or "$" not in value:
            return value
        pieces = [
            self.evaluated(part, scope) if isinstance(part, Expression) else part
            for part in expression.parts(value)
        ]
        if len(pieces) == 1:
            return pieces[0]
        return "".join(piece if isinstance(piece, str) else _text(piece) for piece in pieces)


def _text(value: Any) -> str:
    from agentsquad.kernel import canonical

    return canonical.dumps(value).decode()


def retry_policy(spec: Mapping[str, Any] | None) -> RetryPolicy | None:
    """Return a manifest's retry policy as the door understands it.

    Linear growth is approximated by a factor of 1.5, bounded by maxDelay.
    """
    if spec is None:
        return None
    factor = {"exponential": 2.0, "linear": 1.5, "fixed": 1.0}
    return RetryPolicy(
        attempts=int(spec.get("maxRetries", 0)) + 1,
        initial_ms=duration_ms(spec.get("initialDelay", "200ms")),
        max_ms=duration_ms(spec.get("maxDelay", "30s")),
        factor=factor[spec.get("backoffStrategy", "exponential")],
        jitter=float(spec.get("jitter", 0.2)),
        codes=tuple(spec.get("retryOn", ())),
    )


def spec_digest(spec: Mapping[str, Any]) -> str:
    """Return what pins a manifest."""
    return hashing.digest(spec)
