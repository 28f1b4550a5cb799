"""Actions of push: ask for notifications of a task's states, look at them, stop
them, and send one that is due."""

from __future__ import annotations

import re
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from agentsquad.kernel import hashing
from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.context import Context
from agentsquad.kernel.errors import DeniedError, MissingError
from agentsquad.kernel.event import NewEvent
from agentsquad.kernel.ports import BlobStore, EventStore
from agentsquad.surfaces.a2a import generations, parts, push
from agentsquad.surfaces.a2a.actions import described
from agentsquad.surfaces.a2a.contract import (
    BEFORE,
    CURRENT,
    VERSIONS,
    PushConfigError,
    PushError,
    PushMissingError,
    PushSecretError,
    PushUrlError,
    Receipt,
    Vouching,
    Webhooks,
)
from agentsquad.trust.identity.contract import Sealer

JWT_S = 300
SECRET_MAX = 4096
_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_SCHEME = re.compile(r"[A-Za-z0-9-]{1,40}")
_HEADER = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")
TaskId = Annotated[str, Meta(description="id of the task: of its run", examples=["kooa4lnr33"])]
ConfigId = Annotated[
    str, Meta(description="which receiver of the task; without it the only one", examples=["hook"])
]


class SetInput(msgspec.Struct, kw_only=True):
    """Who is to be told what becomes of which task."""

    task: TaskId
    url: Annotated[
        str, Meta(description="where to, https", examples=["https://client.example/hook"])
    ]
    config: Annotated[str, Meta(description="id of the receiver; made up without one")] = ""
    token: Annotated[str, Meta(description="sent along as X-A2A-Notification-Token")] = ""
    scheme: Annotated[str, Meta(description="of the header Authorization", examples=["Bearer"])] = (
        ""
    )
    credentials: Annotated[
        str, Meta(description="what follows the scheme; without it the signature does")
    ] = ""
    version: Annotated[str, Meta(description="generation of what is sent: 1.0 or 0.3")] = CURRENT
    past: Annotated[bool, Meta(description="tell also what has become of it so far")] = False


class Receiver(msgspec.Struct, kw_only=True):
    """One receiver and how its notifications stand; secrets are not shown."""

    task: str
    config: str
    url: str
    scheme: str = ""
    version: str = CURRENT
    by: str = ""
    delivered: int = 0
    told: str = ""
    waiting: int = 0
    given_up: int = 0
    why: str = ""


@action(
    "a2a.push_set",
    effect=Effect.WRITE,
    cli=("a2a", "push", "set"),
    positional=("task", "url"),
    examples=("squad a2a push set kooa4lnr33 https://client.example/hook",),
)
async def push_set(ctx: Context, value: SetInput) -> Receiver:
    """Have an address told of each state that a task comes to.

    A server delivers, in order, signed, again where nobody answers, and gives
    up after twelve attempts.
    """
    webhooks = _on(ctx)
    _check(value)
    if ctx.run_id is not None and (value.token or value.credentials):
        raise PushSecretError()
    found = await described(ctx, value.task)
    await webhooks.admit(value.url)
    store = ctx.port(EventStore)  # type: ignore[type-abstract]
    box = await _box(store, value.task)
    name = value.config or (value.task if value.version == BEFORE else ctx.token(6).hex())
    if name not in box.configs and len(box.configs) >= push.CONFIGS_MAX:
        raise PushConfigError(
            f"a task has at most {push.CONFIGS_MAX} receivers", hint="remove one of them"
        )
    secrets = {"token": value.token, "credentials": value.credentials}
    body = {
        "config": name,
        "url": value.url,
        "version": value.version,
        "scheme": value.scheme,
        "sealed": _sealer(ctx).seal(_purpose(value.task, name), msgspec.json.encode(secrets)),
        "by": str(ctx.actor),
        "roles": list(ctx.actor.roles),
        "after": 0 if value.past else found.seq,
    }
    await _append(ctx, value.task, push.CONFIGURED, body)
    return _receiver(value.task, (await _box(store, value.task)).configs[name])


class OneInput(msgspec.Struct, kw_only=True):
    """Which receiver of which task."""

    task: TaskId
    config: ConfigId = ""


@action(
    "a2a.push_show",
    effect=Effect.READ,
    cli=("a2a", "push", "show"),
    positional=("task", "config"),
    examples=("squad a2a push show kooa4lnr33 hook",),
)
async def push_show(ctx: Context, value: OneInput) -> Receiver:
    """Show one receiver of a task's states, and what it was told."""
    return _receiver(value.task, await _one(ctx, value))


class PushListInput(msgspec.Struct, kw_only=True):
    """Of which task."""

    task: Annotated[str, Meta(description="only of this task", examples=["kooa4lnr33"])] = ""


class Receivers(msgspec.Struct, kw_only=True):
    """Receivers of tasks' states."""

    items: list[Receiver]


@action(
    "a2a.push_list",
    effect=Effect.READ,
    cli=("a2a", "push", "list"),
    examples=("squad a2a push list", "squad a2a push list --task kooa4lnr33"),
)
async def push_list(ctx: Context, value: PushListInput) -> Receivers:
    """List who is told of tasks' states: what was delivered, what waits, what
    was given up and why."""
    store = ctx.port(EventStore)  # type: ignore[type-abstract]
    names = [value.task]
    if not value.task:
        names = [name.removeprefix(push.PREFIX) for name, _ in await store.streams(push.PREFIX)]
    found = []
    for name in names:
        box = await _box(store, name)
        found += [_receiver(name, one) for one in box.configs.values()]
    return Receivers(items=found)


@action(
    "a2a.push_remove",
    effect=Effect.WRITE,
    cli=("a2a", "push", "remove"),
    positional=("task", "config"),
    examples=("squad a2a push remove kooa4lnr33 hook",),
)
async def push_remove(ctx: Context, value: OneInput) -> Receiver:
    """Tell a receiver nothing more of a task."""
    found = await _one(ctx, value)
    await _append(ctx, value.task, push.REMOVED, {"config": found.id})
    return _receiver(value.task, found)


@action(
    "a2a.push_again",
    effect=Effect.WRITE,
    cli=("a2a", "push", "again"),
    positional=("task", "config"),
    examples=("squad a2a push again kooa4lnr33 hook",),
)
async def push_again(ctx: Context, value: OneInput) -> Receiver:
    """Send once more what was given up for a receiver."""
    _on(ctx)
    found = await _one(ctx, value)
    if not found.dead:
        raise PushMissingError(f"nothing was given up for {found.id}")
    for letter in found.dead:
        await _append(ctx, value.task, push.AGAIN, {"config": found.id, "n": letter.queued.n})
    return _receiver(value.task, await _one(ctx, OneInput(task=value.task, config=found.id)))


class SendInput(msgspec.Struct, kw_only=True):
    """Which notification: of which task, to whom, its place in the stream."""

    task: TaskId
    config: Annotated[str, Meta(description="id of the receiver", examples=["hook"])]
    n: Annotated[int, Meta(description="place of the notification in its stream", examples=[2])]


@action(
    "a2a.push_send",
    effect=Effect.WRITE,
    cli=(),
    local="a server sends what is due; `a2a.push_again` has it send again",
)
async def push_send(ctx: Context, value: SendInput) -> Receipt:
    """Send one notification now, as whoever asked for it may see its task."""
    config = await _one(ctx, OneInput(task=value.task, config=value.config))
    letter = next((one for one in config.waiting if one.queued.n == value.n), None)
    if letter is None:
        raise PushMissingError(f"no notification {value.n} waits for {value.config}")
    queued = letter.queued
    try:
        shown = await ctx.call("a2a.task", {"task": value.task, "history": 0, "at": queued.seq})
        task = dict(shown["task"])
        blobs = ctx.port(BlobStore)  # type: ignore[type-abstract]
        task["artifacts"] = await parts.filled(task.get("artifacts", []), blobs.get, "")
    except (DeniedError, MissingError) as error:
        return Receipt(status=403, why=f"not shown to {config.by}: {error.message}"[:300])
    body = _body(task, config, queued)
    secrets = _unsealed(ctx, value.task, config)
    token = await _vouched(ctx, value, config, body)
    try:
        return await _on(ctx).post(config.url, body, _headers(config, secrets, token))
    except PushUrlError as error:
        return Receipt(status=403, why=error.message[:300])


def _body(task: dict[str, Any], config: push.Config, queued: push.Queued) -> bytes:
    if task["status"]["state"] != queued.state:  # what came from below the run is over by now
        task = {**task, "status": {"state": queued.state, "timestamp": queued.at}}
    found: dict[str, Any] = {"task": task}
    if config.version == BEFORE:
        found = generations.task_then(task)
    return msgspec.json.encode(found)


async def _vouched(ctx: Context, value: SendInput, config: push.Config, body: bytes) -> str:
    now_s = ctx.now_ms() // 1000
    claims = {
        "aud": config.url,
        "iat": now_s,
        "exp": now_s + JWT_S,
        "jti": f"{value.task}/{config.id}/{value.n}",
        "taskId": value.task,
        "digest": hashing.digest_bytes(body),
    }
    return await ctx.port(Vouching).vouch(claims)  # type: ignore[type-abstract]


def _headers(config: push.Config, secrets: dict[str, str], token: str) -> dict[str, str]:
    found = {
        "Content-Type": "application/json",
        "User-Agent": "agentsquad",
        "A2A-Version": config.version,
        "X-A2A-Notification-JWT": token,
    }
    if secrets["token"]:
        found["X-A2A-Notification-Token"] = secrets["token"]
    if secrets["credentials"]:
        found["Authorization"] = f"{config.scheme} {secrets['credentials']}"
    else:
        found["Authorization"] = f"Bearer {token}"
    return found


def _check(value: SetInput) -> None:
    if value.config and not _ID.fullmatch(value.config):
        raise PushConfigError("expected an id of letters, digits, and any of . _ : -")
    if value.version not in VERSIONS:
        raise PushConfigError(f"expected version to be one of {', '.join(VERSIONS)}")
    if value.scheme and not _SCHEME.fullmatch(value.scheme):
        raise PushConfigError("expected a scheme such as Bearer")
    if value.credentials and not value.scheme:
        raise PushConfigError("credentials came without a scheme", hint="such as Bearer")
    if value.scheme and not value.credentials and value.scheme.lower() != "bearer":
        raise PushConfigError(
            f"{value.scheme} needs credentials", hint="only Bearer works without: by signature"
        )
    for name, text in (("token", value.token), ("credentials", value.credentials)):
        if text and (len(text) > SECRET_MAX or not _HEADER.fullmatch(text)):
            raise PushConfigError(f"{name} is not fit for a header")


def _on(ctx: Context) -> Webhooks:
    webhooks = ctx.port(Webhooks)  # type: ignore[type-abstract]
    if not webhooks.on:
        raise PushError(hint="who owns this installation sets SQUAD_A2A_PUSH=on")
    return webhooks


async def _box(store: EventStore, task: str) -> push.Box:
    return push.folded(task, await store.read_stream(push.PREFIX + task))


async def _one(ctx: Context, value: OneInput) -> push.Config:
    box = await _box(ctx.port(EventStore), value.task)  # type: ignore[type-abstract]
    if not value.config and len(box.configs) == 1:
        return next(iter(box.configs.values()))
    found = box.configs.get(value.config or value.task)
    if found is None:
        known = ", ".join(box.configs)
        raise PushMissingError(
            f"task {value.task[:100]} has no receiver {value.config[:100]}".rstrip(),
            hint=f"name one: {known}" if known else "squad a2a push list",
        )
    return found


async def _append(ctx: Context, task: str, kind: str, body: dict[str, Any]) -> None:
    event = NewEvent(stream=push.PREFIX + task, type=kind, payload=body, actor=str(ctx.actor))
    await ctx.port(EventStore).append([event])  # type: ignore[type-abstract]


def _receiver(task: str, one: push.Config) -> Receiver:
    troubled = one.waiting[:1] or one.dead[-1:]
    return Receiver(
        task=task,
        config=one.id,
        url=one.url,
        scheme=one.scheme,
        version=one.version,
        by=one.by,
        delivered=one.delivered,
        told=one.told,
        waiting=len(one.waiting),
        given_up=len(one.dead),
        why=troubled[0].why if troubled else "",
    )


def _sealer(ctx: Context) -> Sealer:
    from agentsquad.trust.identity.office import desk_of

    return desk_of(ctx).instruments.sealer()


def _purpose(task: str, config: str) -> str:
    return f"a2a-push/{task}/{config}"


def _unsealed(ctx: Context, task: str, config: push.Config) -> dict[str, str]:
    data = _sealer(ctx).unseal(_purpose(task, config.id), config.sealed)
    if data is None:
        raise PushConfigError(
            "the key of the home does not open this receiver's secrets", hint="set it anew"
        )
    return msgspec.json.decode(data, type=dict[str, str])
