"""Runs exported as pytest files: they pass offline and alone, and name what
changed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest
import yaml

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.personal import PERSONAL
from agentsquad.kernel.ports import EventStore
from agentsquad.kernel.registry import Plugin, Registry
from agentsquad.runtime.control.interpret import NAME as INTERPRETER
from agentsquad.runtime.control.plugin import plugin as control
from agentsquad.runtime.determinism import export
from agentsquad.runtime.determinism.contract import ExportIncompleteError, ExportPersonalError
from agentsquad.runtime.determinism.history import HistoryInvalidError, dump, load
from agentsquad.runtime.engine.contract import workflow
from agentsquad.runtime.engine.sealing import SealingStore
from agentsquad.runtime.policy.plugin import load_policy
from agentsquad.testing import TestSquad, assert_decides, assert_replays, read_history

SRC = Path(export.__file__).parents[3]
WHO = "DANA WHITFIELD"
RULES = """package shop
import rego.v1
actions := {"shop.bill", "approvals.give"}
allow contains {"clause": "shop.boss", "reason": "boss"} if input.action == "approvals.give"
allow contains {"clause": "shop.small", "reason": "small"} if input.input.total < LIMIT
allow contains {"clause": "shop.member", "reason": "a member"} if input.facts.member
limit := {"of": LIMIT}
"""


class Line(msgspec.Struct):
    quantity: int
    price: str = "2.00"


class Total(msgspec.Struct):
    total: float


class Bill(msgspec.Struct):
    total: float
    who: Annotated[str, PERSONAL] = ""


def shop(*, off: float = 0, swapped: bool = False, limit: int = 100, shape: int = 0) -> Plugin:
    """Return the shop, in which one thing can be otherwise."""

    @action("shop.price", effect=Effect.PURE)
    def price(ctx: Any, value: Line) -> Total:
        """Price a line."""
        return Total(value.quantity * float(value.price) - off)

    @action("shop.bill", effect=Effect.WRITE)
    def bill(ctx: Any, value: Bill) -> dict:
        """Send a bill."""
        return {"sent": value.total, "ref": f"B-{len(value.who)}"}

    @workflow("shop-line", version="1")
    async def line(ctx: Any, value: dict) -> dict:
        priced = await ctx.call("shop.price", Line(value["quantity"]))
        return {"total": priced.total}

    @workflow("shop-order", version="1")
    async def order(ctx: Any, value: dict) -> dict:
        if swapped:
            await ctx.query("data.shop.limit", {})
            lines = await ctx.map(lambda n: ctx.run("shop-line", {"quantity": n}), value["lines"])
        else:
            lines = await ctx.map(lambda n: ctx.run("shop-line", {"quantity": n}), value["lines"])
            await ctx.query("data.shop.limit", {})
        total = sum(one["total"] for one in lines)
        bill = Bill(total, value["who"])
        asked = await ctx.approve("shop.bill", bill, requester="agent:x")
        member = {"member": value["who"].startswith("M")}
        told = await ctx.decide("shop.bill", {"total": total}, facts=member)
        sent = await ctx.call("shop.bill", bill, facts={"member": True}, approval=asked)
        secret = f"{len(value['who'].split()[0]) if shape else 0}"
        return {"total": total, "allowed": told.allow, "shape": secret, **sent}

    return Plugin(
        name="shop",
        actions=(price, bill),
        workflows=(line, order),
        policies={"shop/rules.rego": RULES.replace("LIMIT", str(limit))},
    )


def seal(squad: TestSquad) -> None:
    store = SealingStore(squad.ledger.store, squad.registry, squad.entropy)
    squad.world.ports.put(EventStore, store)
    vars(squad.world).pop("store", None)


async def recorded(plugin: Plugin, *, who: str = "M", sealing: bool = False) -> Any:
    squad = TestSquad(plugin, policy=load_policy([plugin]))
    if sealing:
        seal(squad)
    run = await squad.engine.start("shop-order", {"lines": [1, 2, 3], "who": who})
    for _ in range(200):
        await squad.clock.advance(0)
        waiting = await squad.engine.inbox()
        if waiting:
            break
    await squad.engine.answer(waiting[0].id, approve=True, approver="person:ada", reason="ok")
    await squad.engine.wait(run, timeout_ms=5000)
    return squad, run


async def history_of(plugin: Plugin, **options: Any) -> Any:
    squad, run = await recorded(plugin, **options)
    registry = Registry.of(plugin)
    return await export.collect(squad.ledger.store, squad.ledger.blobs, registry, run)


@pytest.fixture
async def written() -> str:
    return export.pytest_file(await history_of(shop()), decides=True)


def history_in(written: str) -> str:
    names: dict[str, Any] = {}
    exec(compile(written, "test_run.py", "exec"), names)
    return names["HISTORY"]


def in_thread(fn: Any, *args: Any, **kwargs: Any) -> Any:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:  # the assertions have an event loop of their own
        return pool.submit(fn, *args, **kwargs).result()


async def test_the_same_code_passes_and_every_decision_is_asked_again(written):
    told = in_thread(assert_replays, history_in(written), plugins=[shop()])
    assert told.verdict == "identical" and told.recomputed == 3
    assert in_thread(assert_decides, history_in(written), plugins=[shop()]) == 3


async def test_a_changed_pure_action_is_named_by_event_and_field(written):
    with pytest.raises(AssertionError) as failed:
        in_thread(assert_replays, history_in(written), plugins=[shop(off=1)])
    pattern = (
        r"diverged at event \d+ step\.completed \(shop\.price at step 1 of \w+/1\.\d\.1\), "
        r"/output/total: recorded 2(\.0)?, now 1\.0"
    )
    assert re.match(pattern, str(failed.value)), str(failed.value)


async def test_a_changed_order_of_steps_is_named(written):
    with pytest.raises(AssertionError, match=r"diverged at event \d+ step.completed"):
        in_thread(assert_replays, history_in(written), plugins=[shop(swapped=True)])


async def test_a_changed_clause_is_found_by_asking_again_though_replay_reads_what_was(written):
    history = history_in(written)
    changed = shop(limit=5)
    assert in_thread(assert_replays, history, plugins=[changed]).verdict == "identical"
    with pytest.raises(AssertionError) as failed:
        in_thread(assert_decides, history, plugins=[changed])
    assert "decided otherwise at event" in str(failed.value)
    assert "(data.shop.limit at step 2" in str(failed.value)
    assert "/output/of: recorded 100, now 5" in str(failed.value)
    assert '/output/clauses/0: recorded "shop.member", now nothing' not in str(failed.value)
    assert '/output/clauses/1: recorded "shop.small", now nothing' in str(failed.value)
    assert "effect.planned (shop.bill at step 5" in str(failed.value)


async def test_an_uninstalled_workflow_says_what_is_missing(written):
    with pytest.raises(AssertionError, match="'shop-order' is not installed here"):
        in_thread(assert_replays, history_in(written))


async def test_a_history_of_another_format_is_refused(written):
    other = history_in(written).replace("history/v1", "history/v9")
    with pytest.raises(Exception, match=r"has format 'agentsquad\.dev/history/v9'"):
        read_history(other)
    with pytest.raises(HistoryInvalidError):
        read_history('{"format": "agentsquad.dev/history/v1"}')


async def test_a_history_reads_back_as_it_was_written():
    history = await history_of(shop())
    assert dump(load(dump(history))) == dump(history)


async def test_a_large_history_is_packed_and_reads_the_same(monkeypatch):
    history = await history_of(shop())
    plain = export.pytest_file(history, decides=False)
    monkeypatch.setattr(export, "LARGE", 10)
    packed = export.pytest_file(history, decides=False)
    assert len(packed) < len(plain) / 2 and "assert_decides" not in packed
    assert (
        read_history(history_in(packed)) == read_history(history_in(plain)) == history_read(history)
    )


def history_read(history: Any) -> Any:
    return load(dump(history))


async def test_names_of_people_do_not_leak_and_what_follows_from_them_is_derived_again():
    history = await history_of(shop(), who=WHO, sealing=True)
    text = export.pytest_file(history, decides=True)
    assert history.personal == "stand-ins"
    assert WHO not in text and "Values about people were replaced" in text
    assert in_thread(assert_replays, history_in(text), plugins=[shop()]).verdict == "identical"
    assert in_thread(assert_decides, history_in(text), plugins=[shop()]) == 3


async def test_a_run_that_turns_on_a_name_is_refused_unless_people_are_included():
    plugin = shop(shape=1)

    @workflow("shop-order", version="1")
    async def order(ctx: Any, value: dict) -> dict:
        await ctx.call("shop.bill", Bill(5, value["who"]), facts={"member": True})
        return {"dana": value["who"].startswith("DANA"), "n": 3}

    changed = msgspec.structs.replace(plugin, workflows=(plugin.workflows[0], order))
    squad = TestSquad(changed, policy=load_policy([changed]))
    seal(squad)
    run = await squad.engine.start("shop-order", {"who": WHO})
    await squad.engine.wait(run, timeout_ms=5000)
    made = (squad.ledger.store, squad.ledger.blobs, Registry.of(changed), run)
    with pytest.raises(ExportPersonalError, match="field /output/dana") as refused:
        await export.collect(*made)
    assert "--include-personal" in (refused.value.hint or "")
    kept = await export.collect(*made, personal=True)
    text = export.pytest_file(kept, decides=False)
    assert WHO in text and "HOLDS VALUES ABOUT PEOPLE" in text


async def test_an_erased_run_is_refused():
    plugin = shop()
    squad, run = await recorded(plugin, who=WHO, sealing=True)
    subject = squad.ledger.keyring.subjects()[0]
    squad.ledger.keyring.destroy(subject)
    with pytest.raises(ExportIncompleteError, match="was erased"):
        await export.collect(squad.ledger.store, squad.ledger.blobs, Registry.of(plugin), run)


async def test_a_run_that_differs_here_already_is_refused():
    squad, run = await recorded(shop())
    with pytest.raises(ExportIncompleteError, match="otherwise here already") as refused:
        await export.collect(squad.ledger.store, squad.ledger.blobs, Registry.of(shop(off=1)), run)
    assert refused.value.code == "export.diverged"


MANIFEST = """
type: sequential
graph:
  nodes:
    - {id: first, sleep: 5ms}
"""

ALONE = """
import sys

def shut(event, args):
    if event in ("socket.connect", "socket.bind", "socket.getaddrinfo", "subprocess.Popen"):
        raise RuntimeError(f"a test reached for {event}")

sys.addaudithook(shut)
"""


@pytest.mark.slow
async def test_the_file_passes_alone_offline_and_without_a_home(tmp_path):
    squad = TestSquad(control)
    spec = yaml.safe_load(MANIFEST)
    run = await squad.engine.start(INTERPRETER, {"name": "test", "spec": spec, "input": {"a": 1}})
    for _ in range(20):
        await squad.clock.advance(10)
    done = await squad.engine.wait(run, timeout_ms=5000)
    assert done.status == "completed", done.error
    registry = Registry.of(control)
    history = await export.collect(squad.ledger.store, squad.ledger.blobs, registry, run)
    text = export.pytest_file(history, decides=True)
    (tmp_path / "test_run.py").write_text(text)
    (tmp_path / "alone.py").write_text(ALONE)
    passed = alone(tmp_path)
    assert passed.returncode == 0, passed.stdout + passed.stderr
    assert "2 passed" in passed.stdout
    assert sorted(p.name for p in tmp_path.iterdir()) == ["alone.py", "test_run.py"]
    (tmp_path / "test_run.py").write_text(text.replace('"sleep":"5ms"', '"sleep":"7ms"', 1))
    failed = alone(tmp_path)
    assert failed.returncode == 1
    assert re.search(
        r"diverged at event 2 timer\.set \(step [\d.]+ of \w+\), /due_ms: recorded \d+, now \d+",
        failed.stdout,
    )


def alone(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run pytest in a folder with an environment of nothing."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "alone", "-c",
         os.devnull, "--rootdir", str(folder), "test_run.py"],
        cwd=folder,
        env={"PYTHONPATH": f"{SRC}:{folder}", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )  # fmt: skip
