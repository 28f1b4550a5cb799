"""`squad test` on the flagship, on a plugin of one's own and on manifests."""

from __future__ import annotations

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agentsquad.assembly.catalogue import plugins
from agentsquad.assembly.settings import read
from agentsquad.assembly.squad import Squad
from agentsquad.kernel.errors import MissingError, SquadError
from agentsquad.kernel.registry import Registry
from agentsquad.operations.trials import plugin as trials_plugin
from agentsquad.operations.trials.contract import TestInput, TrialExtraError, TrialFiles
from agentsquad.operations.trials.run import prepare
from agentsquad.operations.trials.scenario import Scenario, blob, unblob
from agentsquad.runtime.determinism.rehearsal import Fault
from agentsquad.solutions.purchase_to_pay import trial
from agentsquad.testing import assert_holds

PLUGIN = '''
"""A workflow of our own."""
from __future__ import annotations
import msgspec
from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.money import Money
from agentsquad.kernel.registry import Plugin
from agentsquad.runtime.engine.contract import workflow


class Claim(msgspec.Struct):
    amount: Money
    words: list[str] = []


@action("claims.pay", effect=Effect.IRREVERSIBLE)
async def pay(ctx, value: Claim) -> None:
    """Pay a claim."""


@workflow("claims", version="1")
async def claims(ctx, value: Claim) -> dict:
    for _ in value.words:
        await ctx.call("claims.pay", value)
    return {"paid": len(value.words)}


plugin = Plugin(
    name="claims", actions=(pay,), workflows=(claims,),
    policies={"claims/rules.rego": """package claims
actions := {"claims.pay"}
allow contains {"clause": "claims.any", "reason": "ours"}
"""},
)
'''
LAWS = '''
from agentsquad.testing import invariant


@invariant("few-words")
def few_words(story):
    """Nobody needs many words."""
    assert len(story.input.get("words", [])) < 2, "too many words"
'''
MANIFEST = """
apiVersion: agentsquad.dev/v1
kind: AgentWorkflow
metadata: {name: pauses}
spec:
  input:
    type: object
    required: [order]
    properties:
      order: {type: string, pattern: "^A-[0-9]{3}$", examples: [A-001, A-999]}
      count: {type: integer, minimum: 1, maximum: 3}
  graph:
    nodes:
      - {id: ask, approval: {roles: [boss], because: fine}}
      - {id: pause, dependsOn: [ask], sleep: 1h}
      - {id: goods, dependsOn: [pause], signal: goods}
"""


def squad_of(home: Path) -> Squad:
    settings = read({"SQUAD_HOME": str(home), "SQUAD_STORE": "memory:", "SQUAD_USER": "ada"})
    return Squad(settings, Registry(plugins()))


async def tried(squad: Squad, workflow: str, **options: Any) -> Any:
    return await squad.invoke("trials.test", {"workflow": workflow, "workers": 1, **options})


def written(file: str | None) -> str:
    return Path(file or "").read_text()


def in_thread(fn: Any, *args: Any, **kwargs: Any) -> Any:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(fn, *args, **kwargs).result()


@pytest.mark.slow
async def test_the_flagship_keeps_every_law(tmp_path):
    found = await tried(squad_of(tmp_path), "purchase-to-pay", scenarios=60, seed=3)
    assert found.failures == []
    assert found.scenarios == found.passed == 60
    assert found.endings["completed"] > 25
    assert "p2p-every-cent" in found.invariants
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
async def test_every_kind_of_order_undisturbed_comes_out_to_the_cent(tmp_path):
    squad = squad_of(tmp_path)
    value = TestInput(workflow="purchase-to-pay")
    trials = await prepare(squad.world, squad.ports.get(TrialFiles), value)
    for kind in trial.KINDS:
        seller = trial.scenario.SELLER_OF.get(kind, trial.catalogue.ORDINARY)[0]
        item = trial.scenario.choose_items(kind, seller)[0]
        world = {
            "kind": kind, "seller": seller.key, "goods": [[item.sku, 30 * item.pack]],
            "buyer": trial.scenario.BUYERS[0], "freight": 0, "spoilt": [],
        }  # fmt: skip
        case = Scenario(workflow="purchase-to-pay", input={"folder": "orders"}, world=world)
        tale = await trials.play(case)
        assert (tale.status, trials.broken(tale)) == ("completed", {}), kind
        assert tale.undisturbed


async def test_a_late_answer_inside_of_a_read_does_not_stop_the_clock(tmp_path):
    squad = squad_of(tmp_path)
    value = TestInput(workflow="purchase-to-pay")
    trials = await prepare(squad.world, squad.ports.get(TrialFiles), value)
    world = {
        "kind": "clean", "seller": "lakeshore", "goods": [["LT-30117", 1224]],
        "buyer": trial.scenario.BUYERS[0], "freight": 0, "spoilt": [],
    }  # fmt: skip
    late = (Fault(kind="late", at=2, ms=86_400_000),)
    case = Scenario(
        workflow="purchase-to-pay", input={"folder": "orders"}, world=world, faults=late
    )
    tale = await asyncio.wait_for(trials.play(case), 30)
    assert (tale.status, trials.broken(tale)) == ("completed", {})


@pytest.mark.slow
async def test_a_plugin_and_laws_of_ones_own_are_tried_and_the_failure_is_kept(tmp_path):
    (tmp_path / "claims.py").write_text(PLUGIN)
    (tmp_path / "laws.py").write_text(LAWS)
    found = await tried(
        squad_of(tmp_path / "home"),
        "claims",
        plugin=str(tmp_path / "claims.py"),
        invariants=str(tmp_path / "laws.py"),
        export=str(tmp_path / "found"),
        scenarios=80,
    )
    broken = {one.invariant: one for one in found.failures}
    assert set(broken) == {"effects-once", "few-words"}
    assert len(broken["few-words"].events) <= 10
    assert broken["effects-once"].input["words"] == ["a", "a"]
    assert f"--plugin {tmp_path / 'claims.py'}" in broken["few-words"].repeat
    text = written(broken["few-words"].file)
    assert "def test_claims_keeps_few_words()" in text
    names: dict[str, Any] = {}
    exec(compile(text, "found.py", "exec"), names)
    with pytest.raises(AssertionError, match="few-words: too many words"):
        in_thread(names["test_claims_keeps_few_words"])
    mended = PLUGIN.replace("for _ in value.words:", "if value.words:")
    (tmp_path / "claims.py").write_text(mended)
    case = names["CASE"]
    in_thread(assert_holds, case, laws=("effects-once",), plugin=str(tmp_path / "claims.py"))


async def test_a_manifest_is_tried_on_input_of_its_own_schema(tmp_path):
    squad = squad_of(tmp_path)
    (tmp_path / "pauses.yaml").write_text(MANIFEST)
    await squad.invoke("resources.apply", {"file": [str(tmp_path / "pauses.yaml")]})
    found = await tried(squad, "pauses", scenarios=60)
    assert found.failures == [], found.failures[0].reason
    assert found.endings["completed"] > 5
    assert any(name.startswith("failed: workflow.refused") for name in found.endings)
    assert await squad.world.store.streams("run/") == []  # nothing ran for real


@pytest.mark.slow
async def test_worker_processes_try_the_same_as_one(tmp_path, monkeypatch):
    monkeypatch.setenv("SQUAD_STORE", "memory:")
    squad = squad_of(tmp_path)
    alone = await tried(squad, "zero-wait", scenarios=220, plugin=str(plugin_file(tmp_path)))
    spread = await squad.invoke(
        "trials.test",
        {
            "workflow": "zero-wait", "workers": 2, "scenarios": 220,
            "plugin": str(plugin_file(tmp_path)),
        },
    )  # fmt: skip
    assert spread.scenarios == alone.scenarios == 220
    assert (spread.failed, spread.endings) == (alone.failed, alone.endings)
    assert [f.repeat for f in spread.failures] == [f.repeat for f in alone.failures]


def plugin_file(folder: Path) -> Path:
    path = folder / "zero.py"
    text = PLUGIN.replace('"claims"', '"zero-wait"').replace("value.words:", "value.words[:1]:")
    path.write_text(text)
    return path


async def test_what_is_missing_is_said(tmp_path, monkeypatch):
    squad = squad_of(tmp_path)
    with pytest.raises(MissingError, match="no workflow named 'purchase-to-bay'") as missing:
        await tried(squad, "purchase-to-bay")
    assert "purchase-to-pay" in (missing.value.hint or "")
    for options, code in (
        ({"without": ["gravity"]}, "trials.law"),
        ({"plugin": str(tmp_path / "no.py")}, "trials.file"),
        ({"invariants": __file__}, "trials.file"),
        ({"repeat": "nonsense"}, "trials.case"),
    ):
        with pytest.raises(SquadError) as refused:
            await tried(squad, "purchase-to-pay", **options)
        assert refused.value.code == code
    monkeypatch.setattr(trials_plugin, "find_spec", lambda name: None)
    with pytest.raises(TrialExtraError, match=r"install 'agentsquad\[trials\]'"):
        await tried(squad_of(tmp_path), "purchase-to-pay")


def test_a_case_survives_the_command_line():
    for choices in ([], [0], [1, 2, 3, 10**15], list(range(300))):
        assert unblob(blob(choices)) == choices
    assert msgspec.json.encode(unblob(blob([5]))) == b"[5]"
    assert sys.getsizeof(blob([0] * 500)) < 200


async def test_a_question_that_goes_while_nobody_answers_does_not_stop_a_trial(tmp_path):
    squad = squad_of(tmp_path)
    value = TestInput(workflow="purchase-to-pay")
    trials = await prepare(squad.world, squad.ports.get(TrialFiles), value)
    world = {
        "kind": "clean", "seller": "maple-ridge", "goods": [["MR-HT28", 19260], ["MR-SQ300", 36]],
        "buyer": "DANA WHITFIELD", "freight": 0, "spoilt": [],
    }  # fmt: skip
    for at in range(26, 34):
        case = Scenario(
            workflow="purchase-to-pay", input={"folder": "orders"}, world=world, cancel=at,
            faults=(Fault(kind="late", at=12, ms=86_400_000),), people=("nobody", "self"),
        )  # fmt: skip
        tale = await trials.play(case)
        assert trials.broken(tale) == {}, at


HELD = """
apiVersion: agentsquad.dev/v1
kind: AgentWorkflow
metadata: {name: held}
spec:
  input: {type: object, required: [n], properties: {n: {type: integer, minimum: 0, maximum: 3}}}
  graph:
    nodes:
      - {id: ask, approval: {roles: [boss], because: fine, expires: 2d}}
      - {id: found, dependsOn: [ask], workflow: pauses, with: {order: A-001}}
      - {id: goods, dependsOn: [found], signal: goods}
  timeout: 5d
"""


async def test_a_crash_after_a_lost_read_of_a_manifest_recovers(tmp_path):
    squad = squad_of(tmp_path)
    (tmp_path / "all.yaml").write_text(MANIFEST + "---" + HELD)
    await squad.invoke("resources.apply", {"file": [str(tmp_path / "all.yaml")]})
    value = TestInput(workflow="held")
    trials = await prepare(squad.world, squad.ports.get(TrialFiles), value)
    for kind in ("lost-before", "lost-after", "crash-before", "crash-after", "twice"):
        for at in range(1, 6):
            case = Scenario(workflow="held", input={"n": 1}, faults=(Fault(kind=kind, at=at),))
            tale = await trials.play(case)
            assert (tale.status, trials.broken(tale)) == ("completed", {}), (kind, at)
