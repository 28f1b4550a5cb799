"""No tenant learns anything of another: two installations are asked the same,
one in which the other tenants have done things and one in which they have done
nothing, and every answer is equal byte for byte.

That is more than to look for leaks: lists, single reads, errors and their
hints, events, blobs, counts and places would all give away what is there. Ids
that are drawn anew are masked first. Besides, everything that another tenant
has holds a word that no request names and no answer may hold.

`ISOLATION_REQUESTS=100000 pytest tests/properties/test_tenant_isolation.py`
asks that many.
"""

from __future__ import annotations

import os
import random
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agentsquad.assembly.catalogue import plugins
from agentsquad.assembly.settings import read
from agentsquad.assembly.squad import Squad
from agentsquad.kernel.errors import SquadError
from agentsquad.kernel.policy import PolicyEngine
from agentsquad.kernel.ports import Clock, Entropy
from agentsquad.kernel.registry import Plugin, Registry
from agentsquad.runtime.engine.contract import Engine, workflow
from agentsquad.surfaces.gateway.contract import Call, Caller, File, Following
from agentsquad.surfaces.gateway.gateway import ServingGateway
from agentsquad.surfaces.gateway.plugin import scratch
from agentsquad.testing import ManualClock, SeededEntropy
from agentsquad.testing.clock import settle
from agentsquad.trust.access.contract import Access
from agentsquad.trust.identity.contract import Shown
from agentsquad.trust.identity.office import Office
from agentsquad.trust.threats.contract import Hit, Verdict

pytestmark = pytest.mark.slow
REQUESTS = int(os.environ.get("ISOLATION_REQUESTS", "1500"))
OWN, OTHERS = "acme", ("globex", "initech")
ROLES = ("viewer", "operator", "approver", "author", "admin", "keeper")
NOWHERE = ("nowhere", "glo", "globex2", "default", "system", "*", "", "../globex", "GLOBEX", "a/b")
# These take long, or change how the tenant's own later answers are.
LEFT_OUT = (
    "models.", "drift.", "consistency.", "policy.test", "policy.check", "runs.fork",
    "runs.replay", "runs.start", "runs.restart", "runs.resume", "log.rotate_key", "log.export",
    "log.checkpoint", "attest.", "chaos.", "deployments.deploy", "server.", "proxy.", "control.",
    "workflows.check", "flows.", "messages.publish", "schedules.backfill", "mcp.", "a2a.",
)  # fmt: skip
MASK = re.compile(
    r"\b[0-9a-z]{26}\b|sha256:[0-9a-f]{64}|\b[0-9a-f]{12,64}\b|(?<=\"tail\":\")[0-9a-z]{4}(?=\")"
)


class Said(msgspec.Struct):
    """What is said."""

    text: str = ""


@workflow("say")
async def say(ctx: Any, value: Said) -> Said:
    """Say it."""
    return value


@workflow("ask")
async def ask(ctx: Any, value: Said) -> Said:
    """Ask whether it may be said."""
    await ctx.approve(
        "runs.show",
        {"run": value.text},
        evidence={"text": value.text},
        roles=("keeper",),
        because=value.text,
        requester="agent:asker",
    )
    return value


REGISTRY = Registry((*plugins(), Plugin(name="said", workflows=(say, ask))))
VARIABLES = {"SQUAD_USER": "root", "SQUAD_MODELS": "off"}


class Open:
    """A shield that lets everything pass, and measures nothing."""

    reads = False

    reads = False

    def outer(self, hit: Hit) -> Verdict:
        return Verdict()

    def inner(self, hit: Hit) -> Verdict:
        return Verdict()

    def ended(self, hit: Hit, status: int) -> None: ...

    def called(self, call: Call, took_ms: float, error: BaseException | None) -> None: ...


class World:
    """An installation with tenants; `busy` whether the others have done
    anything."""

    def __init__(self, home: Path, policy: PolicyEngine, *, busy: bool) -> None:
        self.squad = Squad(
            msgspec.structs.replace(read(VARIABLES, home=str(home)), store="memory:"), REGISTRY
        )
        self.squad.ports.put(Clock, ManualClock(1_795_440_000_000))
        self.squad.ports.put(Entropy, SeededEntropy("installation"))
        self.squad.ports.put(PolicyEngine, policy)
        self.busy = busy
        self.keys: dict[str, str] = {}
        self.ids: dict[str, dict[str, list[Any]]] = {}

    async def fill(self) -> None:
        """Make tenants, their people, and what they have."""
        squad = self.squad
        for name in (OWN, *OTHERS) if self.busy else (OWN,):
            await squad.invoke("namespaces.create", {"name": name})
            tenant = await squad.namespaces.use(name)
            tenant.ports.put(Entropy, SeededEntropy(name))
            await self._work(tenant, name)
        for role in ROLES:
            await squad.invoke("users.add", {"name": role})
            await squad.invoke("grants.add", {"name": role, "role": role, "where": OWN})
            made = await squad.invoke("keys.create", {"owner": role})
            self.keys[role] = made.secret
        if self.busy:
            await squad.invoke("users.add", {"name": "stranger"})
            grant = {"name": "stranger", "role": "admin", "where": "globex"}
            await squad.invoke("grants.add", grant)
        system = await squad.namespaces.use("system")
        world = system.world
        desk = world.ports.get(Office).at(world.store, world.clock, world.entropy)
        guards: Any = (Open(), desk.recognition, world.ports.get(Access))
        measures: Any = Open()
        self.gateway = ServingGateway(
            REGISTRY, squad.namespaces, guards, squad.world.clock, measures, scratch
        )

    async def _work(self, tenant: Squad, name: str) -> None:
        """Do things of which every trace carries the tenant's word."""
        mark, word = f"mark-{name}", f"secret-{name}"
        runs, digests = [], []
        for number in range(4):
            text = msgspec.json.encode({"text": f"{word}-{number}"}).decode()
            value = {"workflow": "say", "input": text, "key": f"{name}{number}"}
            runs.append((await tenant.invoke("runs.start", value)).run)
            blob = await tenant.world.blobs.put(f"{word} {number}".encode() * 40)
            digests.append(blob["$blob"])
            resource = {"metadata": {"labels": {"of": mark}}, "spec": {"role": word}}
            value = {"kind": "Agent", "name": f"{mark}-{number}", "resource": resource}
            await tenant.invoke("resources.put", value)
        engine = tenant.world.ports.get(Engine)
        for number in range(2):
            runs.append(
                await engine.start("ask", {"text": f"{word}-{number}"}, key=f"{name}{number}")
            )
        while len(await engine.inbox()) < 2:
            await settle()
        await settle()
        page = await tenant.invoke("resources.list", {"kind": "agents", "limit": 1})
        self.ids[name] = {
            "run": runs,
            "item": [one.id for one in await engine.inbox()],
            "digest": digests,
            "name": [f"{mark}-{number}" for number in range(4)],
            "cursor": [page.next],
            "key": [f"{name}0", f"{mark}-key"],
        }

    async def answer(self, request: dict[str, Any]) -> bytes:
        """Return everything a caller is told."""
        hit = Hit(surface="rest", method="POST", path="/")
        gateway = self.gateway
        try:
            shown = Shown(bearer=self.keys[request["role"]])
            caller = await gateway.enter(hit, shown, namespace=request["namespace"])
            told = await self._told(caller, request)
        except SquadError as error:
            told = {"error": type(error).__name__, **error.to_dict()}
        return msgspec.json.encode(told, enc_hook=str)

    async def _told(self, caller: Caller, request: dict[str, Any]) -> Any:
        gateway, way = self.gateway, request["way"]
        if way == "blob":
            return (await gateway.blob(caller, request["digest"])).data
        if way == "keep":
            file = File(name="x", data=request["digest"].encode())
            return await gateway.keep(caller, file)
        if way == "place":
            return await gateway.place(caller)
        if way == "follow":
            streams = (request["stream"],) if request["stream"] else ()
            what = Following(after=request["after"], streams=streams)
            last = await gateway.place(caller)
            found = []
            if not streams and last > request["after"]:
                async with aclosing(gateway.follow(caller, what)) as events:
                    async for event in events:
                        found.append(msgspec.to_builtins(event))
                        if event.seq >= last:
                            break
            return found
        call = Call(
            action=request["action"], value=request["value"], caller=caller, key=request["key"]
        )
        answer = await gateway.call(call)
        return {
            "value": answer.value,
            "files": [file.data for file in answer.files],
            "replayed": answer.replayed,
        }


class Requests:
    """Draws requests: mostly what is its own namespace with the ids of others,
    or the namespaces of others with anything."""

    def __init__(self, seed: int, world: World) -> None:
        self.chance = random.Random(seed)
        self.ids = world.ids
        operations = world.gateway.operations()
        self.anything = [one for one in operations if one.action != "server.up"]
        self.quick = [one for one in operations if not one.action.startswith(LEFT_OUT)]

    def draw(self) -> dict[str, Any]:
        """Return one."""
        chance = self.chance
        role = chance.choice(ROLES)
        abroad = chance.random() < 0.4
        namespace = chance.choice((*OTHERS, *OTHERS, *NOWHERE)) if abroad else OWN
        way = chance.choices(
            ("call", "blob", "follow", "place", "keep"), weights=(80, 10, 5, 3, 2)
        )[0]
        operation = chance.choice(self.anything if abroad else self.quick)
        return {
            "role": role,
            "namespace": namespace,
            "way": way,
            "action": operation.action,
            "value": {
                field.name: self.value(field.name, field.kind, field.choices)
                for field in operation.fields
                if field.required or chance.random() < 0.3
            },
            "key": self.id("key") if chance.random() < 0.3 else None,
            "digest": self.id("digest"),
            "after": chance.choice((0, 1, 5, 40, 10_000)),
            "stream": "" if chance.random() < 0.5 else f"run/{self.id('run')}",
        }

    def id(self, what: str) -> Any:
        """Return an id: another tenant's, one's own, or nobody's."""
        whose = self.chance.choice((*OTHERS, *OTHERS, OWN, "nobody"))
        if whose == "nobody":
            nobody = {
                "run": "z" * 26,
                "digest": "sha256:" + "0" * 64,
                "item": "0" * 12,
                "cursor": "bm9uZQ",
            }
            return nobody.get(what, "nothing")
        found = self.chance.choice(self.ids[whose][what])
        if what in ("run", "item") and self.chance.random() < 0.2:
            return found[: self.chance.randrange(1, len(found))]  # the beginning of one
        return found

    def value(self, name: str, kind: str, choices: tuple[str, ...]) -> Any:
        """Return a value for a field of an input."""
        chance = self.chance
        if choices:
            return chance.choice(choices)
        if name in ("run", "subject"):
            return self.id("run")
        if name in ("item", "cursor", "key", "name"):
            return self.id(name)
        if name == "kind":
            return chance.choice(("Agent", "agents", "Pool", "role", "Guard", "Nothing"))
        if name == "stream":
            return chance.choice((f"run/{self.id('run')}", f"resource/Agent/{self.id('name')}"))
        if name in ("file", "files", "folder", "input"):
            file = {"name": "x", "$blob": self.id("digest")}
            return [file] if kind == "list" else file
        if name == "selector":
            return f"of=mark-{chance.choice((*OTHERS, OWN))}"
        if name == "where":
            return chance.choice((*OTHERS, OWN, "*"))
        return {
            "integer": chance.choice((0, 1, 3, 7, 20, 1_000)),
            "number": 0.5,
            "flag": chance.random() < 0.5,
            "list": [str(self.id("name"))],
            "json": {"spec": {"role": "x"}},
        }.get(kind, self.id(chance.choice(("name", "run", "item", "digest"))))


@pytest.fixture
async def worlds(tmp_path: Path) -> AsyncIterator[tuple[World, World]]:
    policy = Squad(read(VARIABLES, home="nowhere"), REGISTRY).world.policy
    busy = World(tmp_path / "one", policy, busy=True)
    alone = World(tmp_path / "two", policy, busy=False)
    for world in (busy, alone):
        await world.fill()
    yield busy, alone
    for world in (busy, alone):
        await world.squad.close()


def masked(told: bytes) -> str:
    return MASK.sub("ID", told.decode())


def words_of_others(told: bytes) -> list[str]:
    return [name for name in OTHERS if f"secret-{name}".encode() in told]


async def test_no_tenant_learns_whether_another_one_is_there(worlds: tuple[World, World]) -> None:
    """Lists, reads, blobs, events, errors, keys, items and runs."""
    busy, alone = worlds
    assert busy.ids[OWN] == alone.ids[OWN]  # what is asked about is the same in both
    requests = Requests(20261123, busy)
    seen: Counter[str] = Counter()
    for number in range(REQUESTS):
        request = requests.draw()
        told, expected = await busy.answer(request), await alone.answer(request)
        assert masked(told) == masked(expected), (number, request)
        assert not words_of_others(told), (number, request)
        seen["error" if told.startswith(b'{"error"') else "answer"] += 1
        seen[request["way"]] += 1
    # It is no test that only asks what nobody gets.
    assert min(seen["error"], seen["answer"]) > REQUESTS * 0.1
    assert len(seen) == 7


async def test_another_namespace_is_refused_in_the_words_of_none(
    worlds: tuple[World, World],
) -> None:
    """Byte for byte, for every action there is."""
    busy, _ = worlds
    requests = Requests(1, busy)
    for operation in requests.anything:
        if operation.action.startswith(("factors.", "keys.", "sessions.")):
            continue  # of one's own account, which is in no namespace
        told = set()
        for namespace in (*OTHERS, *NOWHERE):
            request = {**requests.draw(), "namespace": namespace, "way": "call", "key": None}
            told.add(await busy.answer({**request, "role": "admin", "action": operation.action}))
        assert len(told) == 1, (operation.action, told)
        assert b"namespace.missing" in told.pop()


async def test_one_key_in_two_namespaces_is_two_calls(worlds: tuple[World, World]) -> None:
    busy, _ = worlds
    await busy.squad.invoke("grants.add", {"name": "admin", "role": "admin", "where": "globex"})
    request = {
        "role": "admin",
        "way": "call",
        "action": "resources.put",
        "value": {"kind": "Agent", "name": "one", "resource": {"spec": {"role": "x"}}},
        "key": "the-same",
    }
    for namespace in (OWN, "globex"):
        first = msgspec.json.decode(await busy.answer({**request, "namespace": namespace}))
        again = msgspec.json.decode(await busy.answer({**request, "namespace": namespace}))
        assert (first["replayed"], again["replayed"]) == (False, True)
        assert first["value"]["created"] is again["value"]["created"] is True
