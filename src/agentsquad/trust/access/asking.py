"""Actions that tell who may do something, and whether one actor may."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.actor import Actor
from agentsquad.kernel.context import Context
from agentsquad.kernel.errors import InvalidError, MissingError
from agentsquad.kernel.policy import Decision, Question
from agentsquad.kernel.registry import Registry
from agentsquad.trust.access.contract import SYSTEM, Access, Namespaces
from agentsquad.trust.access.decision import DELEGATED
from agentsquad.trust.access.namespace import missing
from agentsquad.trust.access.who import Meant, Permitted, meant, permitted, principals
from agentsquad.trust.identity.contract import Principal

GIVING = "approvals.give"
Where = Annotated[
    str | None, Meta(description="only in this namespace; else in each", examples=["acme"])
]


class WhoInput(msgspec.Struct, frozen=True, kw_only=True):
    """What would be done, to what."""

    verb: Annotated[
        str,
        Meta(
            description="an action, the words of a command, or get, list, put, apply, delete",
            examples=["runs.cancel"],
        ),
    ]
    target: Annotated[
        str,
        Meta(description="KIND/NAME, run/ID, or an item of the inbox", examples=["agent/matcher"]),
    ] = ""
    where: Where = None


class WhoOutput(msgspec.Struct, frozen=True, kw_only=True):
    """Who may, by namespace and name."""

    action: str
    items: tuple[Permitted, ...]


@action(
    "access.who_can",
    effect=Effect.READ,
    realm="system",
    cli=("who-can",),
    positional=("verb", "target"),
    examples=(
        "squad who-can runs.cancel",
        "squad who-can delete agent/matcher --where acme",
        "squad who-can approve bad24e567ea9 -o json",
    ),
)
async def who_can(ctx: Context, value: WhoInput) -> WhoOutput:
    """List who may do something from afar, by which role, in which namespace.

    Of a question in the inbox it names those whom policy would let answer it.
    Whoever owns the files of an installation acts on them locally and needs no
    role.
    """
    question = meant(ctx.port(Registry), value.verb, value.target)
    where = await _namespaces(ctx, question, value.where)
    access = ctx.port(Access)  # type: ignore[type-abstract]
    await access.follow()
    who = await _known(ctx)
    if not question.item:
        return _told(question, permitted(access, who, question, where))
    for namespace in where:
        found = await _of_item(ctx, question, namespace, who)
        if found is not None:
            return _told(question, found)
    raise MissingError(
        f"no question {question.item!r} waits in any namespace"
        if value.where is None
        else f"no question {question.item!r} waits in {value.where}",
        code="inbox.missing",
        hint="squad inbox lists them",
    )


def _told(question: Meant, found: Sequence[Permitted]) -> WhoOutput:
    items = sorted(found, key=lambda one: (one.namespace, one.actor))
    return WhoOutput(action=question.action, items=tuple(items))


async def _namespaces(ctx: Context, question: Meant, where: str | None) -> tuple[str, ...]:
    """Return the namespaces to ask about; whoever names one learns nothing of
    any other."""
    if question.system and where in (None, SYSTEM):
        return (SYSTEM,)
    names = await ctx.port(Namespaces).names()  # type: ignore[type-abstract]
    if where is None:
        return names
    if where not in names:
        raise missing(where, names)
    if question.system and question.action not in DELEGATED:
        raise InvalidError(
            f"{question.action} concerns the installation, not the namespace {where!r}",
            code="access.realm",
            hint="leave --where out",
        )
    return (where,)


async def _known(ctx: Context) -> list[Principal]:
    """Return everybody who holds a role and may sign in."""
    grants = await ctx.call("grants.list", {})
    disabled = [
        one.account
        for rooms in ("users.list", "services.list")
        for one in (await ctx.call(rooms, {})).items
        if one.disabled
    ]
    return principals(((one.account, one.role, one.where) for one in grants.items), disabled)


async def _of_item(
    ctx: Context, question: Meant, namespace: str, who: Sequence[Principal]
) -> list[Permitted] | None:
    """Return who may answer an item; None where it is not in this
    namespace."""
    access = ctx.port(Access)  # type: ignore[type-abstract]
    async with ctx.port(Namespaces).lease(namespace) as place:  # type: ignore[type-abstract]
        inbox = await place.invoke("runs.inbox", {})
        item = next((one for one in inbox.items if one.id == question.item), None)
        if item is None:
            return None
        policy = place.world.policy

        def answers(_: str, actor: Actor) -> Decision:
            return _answering(policy, item, actor)

        return permitted(access, who, question, (namespace,), answers)


def _answering(policy: Any, item: Any, actor: Actor) -> Decision:
    """Ask policy what the engine would ask when this actor answers."""
    if str(actor) == item.requester:
        return Decision(allow=False, reason="nobody answers himself", revision=policy.revision)
    decision: Decision = policy.decide(
        Question(
            actor=str(actor),
            roles=actor.roles,
            action=GIVING,
            effect="write",
            input={"action": item.action, "input": item.input, "because": item.because},
            facts={"roles": list(item.roles), "requester": item.requester, "run": item.run},
        )
    )
    return decision


class CheckInput(msgspec.Struct, frozen=True, kw_only=True):
    """Who, what and where."""

    account: Annotated[
        str, Meta(description="name of an account", examples=["ada", "service:nightly"])
    ]
    action: Annotated[
        str, Meta(description="an action or the words of a command", examples=["runs.cancel"])
    ]
    target: Annotated[str, Meta(description="KIND/NAME or run/ID", examples=["agent/matcher"])] = ""
    where: Annotated[str, Meta(description="namespace", examples=["acme"])] = "default"


class CheckOutput(msgspec.Struct, frozen=True, kw_only=True):
    """Whether they may: the roles they hold there, and the rule that
    decided."""

    allow: bool
    actor: str
    action: str
    namespace: str
    roles: tuple[str, ...]
    reason: str
    clauses: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """0 when allowed, 4 when not."""
        return 0 if self.allow else 4


@action(
    "access.check",
    effect=Effect.READ,
    realm="system",
    positional=("account", "action"),
    examples=("squad access check ada runs.cancel --where acme",),
)
async def check_access(ctx: Context, value: CheckInput) -> CheckOutput:
    """Say whether an account may do something from afar, and which rule says
    so. Exit code 4 when not."""
    question = meant(ctx.port(Registry), value.action, value.target)
    where = SYSTEM if question.system and question.action not in DELEGATED else value.where
    [namespace] = await _namespaces(ctx, question, where)
    access = ctx.port(Access)  # type: ignore[type-abstract]
    await access.follow()
    name = value.account if ":" in value.account else f"person:{value.account}"
    nobody = Principal(actor=Actor.parse(name))
    known = {str(one.actor): one for one in await _known(ctx)}
    principal = known.get(name, nobody)
    decision = access.decide(principal, question.ask(namespace))
    return CheckOutput(
        allow=decision.allow,
        actor=name,
        action=question.action,
        namespace=namespace,
        roles=principal.roles(namespace),
        reason=decision.reason,
        clauses=decision.clauses,
    )
