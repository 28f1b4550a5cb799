"""Personal values are sealed wherever they go in a run, and erasing reaches all
of it."""

from __future__ import annotations

from typing import Annotated

import msgspec

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.personal import PERSONAL, marked, values_in
from agentsquad.kernel.ports import EventStore
from agentsquad.kernel.registry import Plugin
from agentsquad.runtime.determinism.replay import replay
from agentsquad.runtime.engine.contract import workflow
from agentsquad.runtime.engine.sealing import SealingStore
from agentsquad.testing import TestSquad
from agentsquad.testing.clock import settle

NAME = "DANA WHITFIELD"


class Contact(msgspec.Struct):
    name: Annotated[str, PERSONAL]
    firm: str = ""


class Order(msgspec.Struct):
    number: str
    contacts: tuple[Contact, ...] = ()
    deputy: Contact | None = None


@action("order.read", effect=Effect.READ)
async def read(ctx, value: str) -> Order:
    """Read an order."""
    return Order(value, (Contact(NAME, "ACME"),))


@action("letter.write", effect=Effect.WRITE)
async def write(ctx, value: dict) -> str:
    """Write a letter."""
    return f"sent: {value['text']}"


@workflow("child")
async def child(ctx, value: dict) -> dict:
    return {"again": value["who"]}


@workflow("order")
async def flow(ctx, value: str) -> dict:
    order = await ctx.call("order.read", value)
    who = order.contacts[0].name
    sent = await ctx.call("letter.write", {"text": f"Dear {who},"})
    below = await ctx.run("child", {"who": who})
    return {"sent": sent, "below": below, "firm": order.contacts[0].firm}


def test_marks_are_found_in_nested_optional_and_listed_types():
    order = Order("1", (Contact(NAME),), Contact("BRUNO KELLER"))
    assert values_in(Order, msgspec.to_builtins(order)) == {NAME, "BRUNO KELLER"}
    assert not marked(dict[str, int])


@workflow("patient")
async def patient(ctx, value: str) -> str:
    order = await ctx.call("order.read", value)
    await ctx.signal("go")
    return await ctx.call("letter.write", {"text": f"Dear {order.contacts[0].name},"})


async def squad() -> TestSquad:
    s = TestSquad(Plugin(name="t", actions=(read, write), workflows=(child, flow, patient)))
    seal(s)
    return s


def seal(s: TestSquad) -> None:
    store = SealingStore(s.ledger.store, s.registry, s.entropy)
    s.world.ports.put(EventStore, store)
    s.world.store = store


async def nowhere_stored(s: TestSquad) -> None:
    records = await s.ledger.store.read_records(limit=1000)
    assert any(b"ACME" in record.payload for record in records)
    for record in records:
        assert NAME.encode() not in record.header + record.payload


async def test_a_name_is_in_no_stored_byte_of_the_log():
    s = await squad()
    outcome = await s.run("order", "4711")
    assert outcome.output["sent"] == f"sent: Dear {NAME},"
    await nowhere_stored(s)
    stored = await s.ledger.store.read_sealed(limit=1000)
    assert sum("$sealed" in str(e.payload) for e in stored) >= 6


async def test_erasing_the_person_erases_every_copy_and_the_run_says_so():
    s = await squad()
    outcome = await s.run("order", "4711")
    assert (await replay(s.ledger.store, s.registry, outcome.run)).verdict == "identical"
    [named] = await s.ledger.store.read(types=["subject.named"])
    s.ledger.keyring.destroy(named.stream.removeprefix("subject/"))
    everything = await s.ledger.store.read(limit=1000)
    assert NAME not in str(everything)
    assert "ACME" in str(everything)
    found = await replay(s.ledger.store, s.registry, outcome.run)
    assert found.verdict == "not_replayable"


async def test_one_person_has_one_subject_in_all_runs():
    s = await squad()
    await s.run("order", "1")
    await s.run("order", "2")
    assert len(await s.ledger.store.read(types=["subject.named"])) == 1


async def test_a_run_started_again_after_a_restart_is_still_sealed():
    s = await squad()
    run = await s.engine.start("patient", "4711", key="k")
    await settle()
    await s.restart()
    seal(s)
    assert await s.engine.start("patient", "4711", key="k") == run
    await s.engine.signal(run, "go", None, actor="person:ada")
    outcome = await s.engine.wait(run, timeout_ms=1000)
    assert outcome.output == f"sent: Dear {NAME},"
    await nowhere_stored(s)


async def test_runs_of_known_people_go_on_before_the_commit_as_others_do():
    s = await squad()
    await s.run("order", "1")
    commits = s.ledger.store.commits
    await s.engine.start("patient", "2")
    await settle()
    assert s.ledger.store.commits - commits == 1, "started, read and waiting in one commit"
    await nowhere_stored(s)
