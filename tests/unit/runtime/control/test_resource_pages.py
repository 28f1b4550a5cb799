"""Resources a page at a time, and put one by one, bound to what was read."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from agentsquad.kernel.actor import Actor
from agentsquad.kernel.errors import ConflictError, InvalidError
from agentsquad.kernel.manifest import ManifestError
from agentsquad.kernel.registry import Plugin, Registry
from agentsquad.kernel.resource import Kind
from agentsquad.runtime.control.contract import (
    CursorError,
    Location,
    ResourceChangedError,
    ResourceExistsError,
    ResourceRealmError,
    Shipped,
)
from agentsquad.runtime.control.plugin import plugin as control
from agentsquad.runtime.control.resource import NothingShipped
from agentsquad.runtime.engine.door import CallPath, Step
from agentsquad.runtime.engine.interceptors import STANDARD
from agentsquad.testing import TestSquad

BOX = Kind(
    name="Box",
    schema={"type": "object", "properties": {"size": {"type": "integer"}}},
    summary="a box",
    plural="boxes",
)
SEAL = Kind(name="Seal", schema={"type": "object"}, summary="of all", realm="system")
ADA = Actor("person", "ada")


class Store:
    """An installation with boxes in it."""

    def __init__(self, namespace: str = "default") -> None:
        self.squad = TestSquad(control, Plugin(name="boxes", kinds=(BOX, SEAL)))
        ports = self.squad.world.ports
        ports.put(Registry, self.squad.registry)
        ports.put(Shipped, NothingShipped())
        ports.put(Location, Location(namespace))
        self.path = CallPath(self.squad.world, STANDARD)

    async def call(self, action: str, **value: Any) -> Any:
        found = self.squad.registry.action(action)
        given = msgspec.convert(value, found.spec.input)
        return msgspec.to_builtins(await self.path.run(Step(found, given, actor=ADA)))

    async def put(self, name: str, size: int = 1, **more: Any) -> Any:
        labels = {"size": "big" if size > 5 else "small"}
        resource = {"metadata": {"labels": labels}, "spec": {"size": size}}
        return await self.call("resources.put", kind="box", name=name, resource=resource, **more)

    async def names(self, **value: Any) -> tuple[list[str], str | None]:
        page = await self.call("resources.list", kind="boxes", **value)
        return [one["metadata"]["name"] for one in page["items"]], page["next"]


async def test_pages_hold_every_resource_once_in_the_order_of_names() -> None:
    store = Store()
    names = [f"b{number:02}" for number in range(25)]
    for name in reversed(names):
        await store.put(name)
    found, after = await store.names(limit=10)
    pages = [found]
    while after:
        found, after = await store.names(limit=10, cursor=after)
        pages.append(found)
    assert [len(page) for page in pages] == [10, 10, 5]
    assert [name for page in pages for name in page] == names


async def test_a_cursor_goes_on_though_resources_come_and_go() -> None:
    store = Store()
    for name in ("b", "d", "f", "h"):
        await store.put(name)
    found, after = await store.names(limit=2)
    assert found == ["b", "d"]
    await store.call("resources.delete", kind="box", name="d")  # the one it stands on
    for name in ("a", "e", "g"):
        await store.put(name)
    assert await store.names(limit=9, cursor=after) == (["e", "f", "g", "h"], None)


async def test_a_page_that_is_just_full_has_none_after_it() -> None:
    store = Store()
    for name in ("a", "b"):
        await store.put(name)
    assert await store.names(limit=2) == (["a", "b"], None)


async def test_labels_select_and_fields_are_chosen() -> None:
    store = Store()
    for size in (1, 9, 3, 8):
        await store.put(f"b{size}", size)
    assert await store.names(selector="size=big") == (["b8", "b9"], None)
    first, after = await store.names(selector="size in (small)", limit=1)
    assert first == ["b1"]
    assert await store.names(selector="size in (small)", limit=1, cursor=after) == (["b3"], None)
    page = await store.call("resources.list", kind="box", fields=["spec.size"], limit=1)
    [item] = page["items"]
    assert item["metadata"] == {"name": "b1"} and item["spec"] == {"size": 1}
    assert page["revision"] == 4  # events after it tell what changed since


async def test_a_cursor_is_of_one_list_only() -> None:
    store = Store()
    for name in ("a", "b"):
        await store.put(name)
    _, after = await store.names(limit=1)
    for cursor in (after + "x", "", "zzz", "é", "A" * 3_000):
        with pytest.raises(CursorError):
            await store.names(cursor=cursor)
    with pytest.raises(CursorError, match="another list"):
        await store.names(cursor=after, selector="size=big")


async def test_what_is_put_is_kept_as_apply_keeps_it() -> None:
    store = Store()
    made = await store.put("a", 2)
    assert (made["created"], made["changed"]) == (True, True)
    again = await store.put("a", 2)
    assert (again["created"], again["changed"], again["revision"]) == (
        False, False, made["revision"],
    )  # fmt: skip
    assert await store.call("resources.get", kind="box", name="a") == made["resource"]
    assert made["resource"]["apiVersion"] == "agentsquad.dev/v1"


async def test_put_is_bound_to_what_was_read() -> None:
    store = Store()
    first = (await store.put("a", 1))["revision"]
    second = (await store.put("a", 2, expect=first))["revision"]
    for stale in (first, "", "sha256:", second[:20], "0" * 64):
        with pytest.raises(ResourceChangedError):
            await store.put("a", 3, expect=stale)
    await store.put("a", 3, expect=second.removeprefix("sha256:")[:16])
    with pytest.raises(ResourceChangedError):
        await store.put("new", 1, expect=first)  # there is nothing to replace
    with pytest.raises(ResourceChangedError):
        await store.call("resources.delete", kind="box", name="a", expect=second)


async def test_put_may_only_create() -> None:
    store = Store()
    await store.put("a", create=True)
    with pytest.raises(ResourceExistsError):
        await store.put("a", create=True)
    assert issubclass(ResourceExistsError, ConflictError)


@pytest.mark.parametrize(
    "resource",
    [
        {"kind": "Agent", "spec": {}},
        {"metadata": {"name": "b"}, "spec": {}},
        {"spec": {"size": "big"}},
        {"spec": {}, "apiVersion": "v9"},
        {"spec": {}, "more": 1},
        {"metadata": [], "spec": {}},
        {"metadata": {"name": 7}, "spec": {}},
        {"kind": ["Box"], "spec": {}},
        {},
    ],
)
async def test_what_is_no_such_resource_is_refused(resource: dict[str, Any]) -> None:
    store = Store()
    with pytest.raises(InvalidError):
        await store.call("resources.put", kind="box", name="a", resource=resource)
    assert await store.squad.ledger.store.size() == 0


async def test_a_name_that_is_no_label_is_refused() -> None:
    with pytest.raises(ManifestError):
        await Store().put("../x")


async def test_what_concerns_the_installation_is_kept_in_system_only() -> None:
    value = {"kind": "seal", "name": "a", "resource": {"spec": {}}}
    for namespace in ("default", "acme"):
        with pytest.raises(ResourceRealmError):
            await Store(namespace).call("resources.put", **value)
    assert (await Store("system").call("resources.put", **value))["created"]
