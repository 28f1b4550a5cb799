"""Resources through the whole call path, over the real ledger in memory."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import pytest

from agentsquad.kernel.actor import Actor
from agentsquad.kernel.errors import ConflictError, DeniedError, MissingError, SquadError
from agentsquad.kernel.manifest import ManifestError
from agentsquad.kernel.ports import EventStore
from agentsquad.kernel.registry import Plugin, Registry
from agentsquad.runtime.control import resource as streams
from agentsquad.runtime.control.adapters.files import FileSource
from agentsquad.runtime.control.contract import (
    ResourceShippedError,
    Shipped,
    SourceMissingError,
    SourceUnreadableError,
    TextSource,
)
from agentsquad.runtime.control.plugin import plugin as control
from agentsquad.runtime.control.resource import NothingShipped
from agentsquad.runtime.engine.door import CallPath, Step
from agentsquad.runtime.engine.interceptors import STANDARD
from agentsquad.testing.world import TestSquad
from agentsquad.workforce.agents.kinds import KINDS

ADA = Actor("person", "ada")
MATCHER = """\
apiVersion: agentsquad.dev/v1
kind: Agent
metadata:
  name: matcher
  labels: {team: finance}
spec:
  type: custom-agent
  role: a clerk
"""
GROUP = """\
apiVersion: agentsquad.dev/v1
kind: AgentGroup
metadata: {name: clerks}
spec: {selector: {matchLabels: {team: finance}}}
"""


SHIPPED: dict[str, Any] = {
    "apiVersion": "agentsquad.dev/v1",
    "kind": "Agent",
    "metadata": {"name": "drafter"},
    "spec": {"type": "custom-agent", "role": "a writer"},
}


class Texts:
    """Manifests by name."""

    def __init__(self, **texts: str) -> None:
        self.texts = texts

    def read(self, name: str) -> str:
        if name not in self.texts:
            raise SourceMissingError(f"no file {name!r}")
        return self.texts[name]


class Shelf:
    """One agent comes with the product."""

    def resources(self, kind: str) -> list[dict[str, Any]]:
        return [SHIPPED] if kind == "Agent" else []


class House:
    """An installation with the control plugin, its texts and its ledger."""

    def __init__(self, policy: Any = None, **texts: str) -> None:
        agents = Plugin(name="agents", kinds=KINDS)
        self.squad = TestSquad(control, agents, policy=policy)
        self.texts = Texts(**texts)
        self.squad.world.ports.put(TextSource, self.texts)
        self.squad.world.ports.put(Registry, self.squad.registry)
        self.squad.world.ports.put(Shipped, NothingShipped())
        self.path = CallPath(self.squad.world, STANDARD)

    @property
    def store(self) -> EventStore:
        return self.squad.ledger.store

    async def call(self, action: str, actor: Actor = ADA, **value: Any) -> Any:
        found = self.squad.registry.action(action)
        given = msgspec.convert(value, found.spec.input)
        return msgspec.to_builtins(await self.path.run(Step(found, given, actor=actor)))

    async def apply(self, *file: str, **options: Any) -> list[tuple[str, str, bool]]:
        output = await self.call("resources.apply", file=file, **options)
        return [(one["kind"], one["name"], one["changed"]) for one in output["applied"]]

    async def resource_events(self) -> list[tuple[str, str]]:
        events = await self.store.read(limit=1000)
        return [(e.stream, e.type) for e in events if e.stream.startswith("resource/")]


async def test_applying_stores_what_is_new_and_leaves_what_is_equal() -> None:
    house = House(a=f"{MATCHER}---\n{GROUP}")
    first = [("Agent", "matcher", True), ("AgentGroup", "clerks", True)]
    assert await house.apply("a") == first
    assert await house.apply("a") == [(kind, name, False) for kind, name, _ in first]
    house.texts.texts["a"] = MATCHER.replace("a clerk", "an auditor") + "---\n" + GROUP
    assert [changed for *_, changed in await house.apply("a")] == [True, False]
    assert await house.resource_events() == [
        ("resource/Agent/matcher", "resource.applied"),
        ("resource/AgentGroup/clerks", "resource.applied"),
        ("resource/Agent/matcher", "resource.applied"),
    ]


async def test_the_order_of_keys_is_no_change() -> None:
    house = House(a=MATCHER)
    await house.apply("a")
    house.texts.texts["a"] = MATCHER.replace(
        "  type: custom-agent\n  role: a clerk\n", "  role: 'a clerk'\n  type: custom-agent\n"
    )
    assert await house.apply("a") == [("Agent", "matcher", False)]


async def test_a_plan_says_what_would_change_and_writes_nothing() -> None:
    house = House(a=MATCHER)
    assert await house.apply("a", plan=True) == [("Agent", "matcher", True)]
    assert await house.resource_events() == []


async def test_shipped_resources_are_listed_and_marked_until_one_is_applied() -> None:
    house = House(a=MATCHER)
    house.squad.world.ports.put(Shipped, Shelf())
    await house.apply("a")
    marked = {**SHIPPED, "status": {"origin": "shipped"}}
    listed = await house.call("resources.get", kind="agents")
    assert [one["metadata"]["name"] for one in listed["items"]] == ["drafter", "matcher"]
    assert listed["items"][0] == marked and "status" not in listed["items"][1]
    assert await house.call("resources.get", kind="agent", name="drafter") == marked

    house.texts.texts["mine"] = msgspec.json.encode(marked).decode()
    assert await house.apply("mine") == [("Agent", "drafter", True)]
    assert await house.call("resources.get", kind="agent", name="drafter") == SHIPPED
    assert await house.call("resources.get", kind="agentgroups") == {"items": []}
    with pytest.raises(MissingError, match="no Agent named 'draftr'") as caught:
        await house.call("resources.get", kind="agent", name="draftr")
    assert "drafter" in str(caught.value.hint)


async def test_what_is_got_can_be_applied_again_unchanged() -> None:
    house = House(a=MATCHER)
    await house.apply("a")
    got = await house.call("resources.get", kind="agent", name="matcher")
    assert got == {
        "apiVersion": "agentsquad.dev/v1",
        "kind": "Agent",
        "metadata": {"name": "matcher", "labels": {"team": "finance"}},
        "spec": {"type": "custom-agent", "role": "a clerk"},
    }
    house.texts.texts["again"] = msgspec.json.encode(got).decode()
    assert await house.apply("again") == [("Agent", "matcher", False)]


@pytest.mark.parametrize("kind", ["Agent", "agent", "agents", "AGENTS"])
async def test_a_kind_is_known_by_singular_and_plural_in_any_case(kind: str) -> None:
    house = House(a=MATCHER)
    await house.apply("a")
    got = await house.call("resources.get", kind=kind)
    assert [item["metadata"]["name"] for item in got["items"]] == ["matcher"]


async def test_unknown_kinds_and_names_are_answered_with_the_nearest() -> None:
    house = House(a=MATCHER)
    await house.apply("a")
    for value, hint in (
        ({"kind": "agnet"}, "did you mean 'agent'?"),
        ({"kind": "Agnet"}, "did you mean 'Agent'?"),
        ({"kind": "agent", "name": "macher"}, "did you mean 'matcher'?"),
    ):
        with pytest.raises(MissingError) as caught:
            await house.call("resources.get", **value)
        assert caught.value.hint == hint


async def test_what_ships_is_not_deleted_but_replaced_and_brought_back() -> None:
    house = House(own=MATCHER.replace("matcher", "drafter"))
    house.squad.world.ports.put(Shipped, Shelf())
    gone = {"kind": "agent", "name": "drafter"}
    with pytest.raises(ResourceShippedError, match="ships with the program") as caught:
        await house.call("resources.delete", **gone)
    assert "squad get agent drafter > drafter.yaml" in str(caught.value.hint)
    await house.apply("own")
    assert (await house.call("resources.get", **gone))["spec"]["role"] == "a clerk"
    await house.call("resources.delete", **gone)
    assert (await house.call("resources.get", **gone))["spec"]["role"] == "a writer"
    with pytest.raises(MissingError) as missing:
        await house.call("resources.delete", kind="agent", name="draftr")
    assert "drafter" in str(missing.value.hint)


async def test_deleting_hides_a_resource_and_applying_brings_it_back() -> None:
    house = House(a=MATCHER)
    await house.apply("a")
    assert await house.call("resources.delete", kind="agents", name="matcher") == {
        "kind": "Agent",
        "name": "matcher",
    }
    assert await house.call("resources.get", kind="agent") == {"items": []}
    for action in ("resources.get", "resources.delete"):
        with pytest.raises(MissingError) as caught:
            await house.call(action, kind="agent", name="matcher")
        assert caught.value.code == "resource.missing"
    assert await house.apply("a") == [("Agent", "matcher", True)]


async def test_one_wrong_manifest_stops_all_and_every_file_is_told_about() -> None:
    house = House(
        a=MATCHER, b=MATCHER.replace("role", "rol"), c=GROUP.replace("selector", "selectr")
    )
    with pytest.raises(ManifestError) as caught:
        await house.apply("a", "b", "c")
    told = [(e["file"], e["line"], e["fix"]) for e in caught.value.details["errors"]]
    assert told == [("b", 8, "did you mean 'role'?"), ("c", 4, "did you mean 'selector'?")]
    assert await house.resource_events() == []


async def test_a_resource_given_twice_in_one_apply_is_refused() -> None:
    house = House(a=MATCHER, b=MATCHER)
    with pytest.raises(SquadError) as caught:
        await house.apply("a", "b")
    assert caught.value.code == "manifest.doubled"


async def test_two_appliers_at_once_do_not_overwrite_each_other() -> None:
    house = House(a=MATCHER)
    await house.apply("a")
    value = streams.applied_event(
        {"kind": "Agent", "metadata": {"name": "matcher"}, "spec": {}}, "person:bob"
    )
    before = await streams.stored(house.store, "Agent", "matcher")
    await house.store.append([value], expect={value.stream: before.version})
    with pytest.raises(ConflictError):
        await house.store.append([value], expect={value.stream: before.version})


async def test_names_that_begin_alike_are_kept_apart() -> None:
    house = House(a=MATCHER, b=MATCHER.replace("name: matcher", "name: matcher-2"))
    await house.apply("b")
    with pytest.raises(MissingError):
        await house.call("resources.get", kind="agent", name="matcher")
    await house.apply("a")
    names = [
        item["metadata"]["name"]
        for item in (await house.call("resources.get", kind="agents"))["items"]
    ]
    assert names == ["matcher", "matcher-2"]


async def test_a_person_may_apply_and_an_agent_may_not() -> None:
    from agentsquad.runtime.policy.plugin import load_policy

    house = House(policy=load_policy([control]), a=MATCHER)
    assert await house.apply("a") == [("Agent", "matcher", True)]
    with pytest.raises(DeniedError):
        await house.call("resources.apply", Actor("agent", "matcher"), file=["a"])
    with pytest.raises(DeniedError):
        await house.call("resources.delete", Actor("agent", "x"), kind="agent", name="matcher")


async def test_explaining_walks_the_schema() -> None:
    house = House()
    top = await house.call("resources.explain", path="agentworkflow")
    assert (top["path"], top["type"]) == ("AgentWorkflow", "object")
    assert {f["name"]: f.get("required", False) for f in top["fields"]}["graph"] is True
    nodes = await house.call("resources.explain", path="AgentWorkflow.spec.graph.nodes")
    assert nodes["type"] == "list of object"
    assert "dependsOn" in [field["name"] for field in nodes["fields"]]
    inner = await house.call("resources.explain", path="AgentWorkflow.graph.nodes.branch.nodes")
    assert [f["name"] for f in inner["fields"]] == [f["name"] for f in nodes["fields"]]
    with pytest.raises(MissingError) as caught:
        await house.call("resources.explain", path="Agent.sla.maxLatncy")
    assert caught.value.hint == "did you mean 'maxLatency'?"


async def test_every_field_of_every_kind_is_described() -> None:
    house = House()
    waiting = list(house.squad.registry.kinds)
    seen = 0
    for path in itertools.islice(iter(lambda: waiting.pop() if waiting else None, None), 500):
        explained = await house.call("resources.explain", path=path)
        for field in explained["fields"]:
            seen += 1
            assert field["description"], f"{path}.{field['name']} is not described"
            recursive = path.startswith("AgentWorkflow.graph.nodes") and field["name"] == "nodes"
            if field["type"] in ("object", "list of object") and not recursive:
                waiting.append(f"{path}.{field['name']}")
    assert seen > 80


def test_files_are_read_as_utf_8_and_problems_are_ours(tmp_path: Any) -> None:
    source = FileSource()
    (tmp_path / "a.yaml").write_bytes(b"\xef\xbb\xbfa: \xc3\xa9")
    assert source.read(str(tmp_path / "a.yaml")) == "a: é"
    with pytest.raises(SourceMissingError):
        source.read(str(tmp_path / "none.yaml"))
    with pytest.raises(SourceUnreadableError):
        source.read(str(tmp_path))
    (tmp_path / "b.yaml").write_bytes(b"\xff")
    with pytest.raises(SourceUnreadableError, match="byte 0"):
        source.read(str(tmp_path / "b.yaml"))


def test_a_dash_is_the_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    import io
    import sys
    from types import SimpleNamespace

    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"kind: Agent")))
    assert FileSource().read("-") == "kind: Agent"
