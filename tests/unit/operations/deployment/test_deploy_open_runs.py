"""A change under 200 open runs: the check names exactly those past it, and
after the deployment every run ends; without it the same change strands them.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from agentsquad.kernel.errors import SquadError
from agentsquad.kernel.registry import Plugin, Registry
from agentsquad.testing.clock import settle

sys.path.insert(0, str(Path(__file__).parent))
from deploying import DeploySquad, write

RUNS = 200
STAGES = 3  # a run waits for go1, go2 or go3

PYTHON = '''
from __future__ import annotations

import msgspec

from agentsquad.kernel.action import Effect, action
from agentsquad.runtime.engine.contract import workflow


class N(msgspec.Struct):
    n: int


@action("steps.add", effect=Effect.PURE)
def add(ctx, value: N) -> int:
    """Add one."""
    return value.n + 1


@action("steps.look", effect=Effect.READ)
def look(ctx, value: N) -> int:
    """Look something up."""
    return value.n * 10


@workflow("case")
async def case(ctx, value: N) -> list:
    """Do steps, with waits between them."""
    a = await ctx.call("steps.add", N(value.n))
    await ctx.signal("go1")
    b = await ctx.call("steps.look", N(a))
    await ctx.signal("go2")
    c = await ctx.call("steps.add", N(b))
    await ctx.signal("go3")
    return [a, b, c, await ctx.call("steps.look", N(c))]
'''

LOOK = '    b = await ctx.call("steps.look", N(a))\n'
EDITS: dict[str, tuple[Callable[[str], str], int]] = {
    # name: the edit, and the first stage that is past it
    "a comment": (lambda text: text.replace("    b =", "    # look it up\n    b ="), 9),
    "inserted": (
        lambda text: text.replace(LOOK, '    await ctx.call("steps.add", N(7))\n' + LOOK),
        1,
    ),
    "removed": (lambda text: text.replace(LOOK, "    b = a\n"), 1),
    "reordered": (
        lambda text: (
            text.replace('c = await ctx.call("steps.add", N(b))', "MARK")
            .replace('    await ctx.signal("go3")\n', "")
            .replace(
                "    MARK\n",
                '    await ctx.signal("go3")\n    c = await ctx.call("steps.add", N(b))\n',
            )
        ),
        2,
    ),
    "re-parameterised": (lambda text: text.replace("N(a))", "N(a + 1))"), 1),
    "the last step": (lambda text: text.replace('"steps.look", N(c)', '"steps.add", N(c)'), 9),
    "a pure step": (lambda text: text.replace("value.n + 1", "value.n + 2"), 0),
}

MANIFEST = """
apiVersion: agentsquad.dev/v1
kind: AgentWorkflow
metadata: {name: case}
spec:
  graph:
    nodes:
      - {id: a, action: steps.add, with: {n: "${input.n}"}}
      - {id: go1, signal: go1, dependsOn: [a]}
      - {id: b, action: steps.look, with: {n: "${nodes.a}"}, dependsOn: [go1]}
      - {id: go2, signal: go2, dependsOn: [b]}
      - {id: c, action: steps.add, with: {n: "${nodes.b}"}, dependsOn: [go2]}
      - {id: go3, signal: go3, dependsOn: [c]}
      - {id: d, action: steps.look, with: {n: "${nodes.c}"}, dependsOn: [go3]}
  result: ["${nodes.a}", "${nodes.c}", "${nodes.d}"]
"""
B = '      - {id: b, action: steps.look, with: {n: "${nodes.a}"}, dependsOn: [go1]}\n'
GRAPH_EDITS: dict[str, tuple[Callable[[str], str], int]] = {
    "inserted": (
        lambda text: text.replace(
            B,
            "      - {id: x, action: steps.add, with: {n: 7}, dependsOn: [go1]}\n"
            + B.replace("[go1]", "[x]"),
        ),
        1,
    ),
    "removed": (
        lambda text: (
            text.replace(B, "")
            .replace("dependsOn: [b]", "dependsOn: [go1]")
            .replace("nodes.b", "nodes.a")
        ),
        1,
    ),
    "reordered": (
        lambda text: (
            text.replace("go3, signal: go3, dependsOn: [c]", "go3, signal: go3, dependsOn: [go2]")
            .replace(
                '{id: c, action: steps.add, with: {n: "${nodes.b}"}, dependsOn: [go2]}',
                '{id: c, action: steps.add, with: {n: "${nodes.b}"}, dependsOn: [go3]}',
            )
            .replace("dependsOn: [go3]}\n  result", "dependsOn: [c]}\n  result")
        ),
        2,
    ),
    "re-parameterised": (
        lambda text: text.replace('"${nodes.a}"}, depends', '"${nodes.a + 1}"}, depends'),
        1,
    ),
}


async def begun(
    s: DeploySquad, stages: int = STAGES, runs: int = RUNS, **options: Any
) -> dict[str, int]:
    """Start runs, and take each to its stage; return run -> stage."""
    found = {}
    for number in range(runs):
        run = (
            await s.call(
                "runs.start", workflow="case", input=f'{{"n": {number}}}', wait=False, **options
            )
        ).run
        found[run] = number % stages
    await settle()
    for run, stage in found.items():
        for done in range(stage):
            await s.engine.signal(run, f"go{done + 1}", None, actor="person:ada")
    await settle()
    return found


async def ended(s: DeploySquad, found: dict[str, int]) -> dict[str, Any]:
    """Send what each run still waits for and return the outputs."""
    for run, stage in found.items():
        for number in range(stage, STAGES):
            await s.engine.signal(run, f"go{number + 1}", None, actor="person:ada")
    outputs = {}
    for run in found:
        outcome = await s.engine.wait(run, timeout_ms=5000)
        assert outcome.status == "completed", outcome.error
        outputs[run] = outcome.output
    return outputs


async def deployed_under(
    tmp_path: Path,
    old: str,
    new: str,
    suffix: str,
    first: int,
    make: Callable[[], Awaitable[DeploySquad]],
) -> None:
    s = await make()
    await s.deploy(write(tmp_path, f"one{suffix}", old))
    found = await begun(s)
    past = {run for run, stage in found.items() if stage >= first}
    file = write(tmp_path, f"two{suffix}", new)

    size = await s.ledger.store.size()
    report = await s.deploy(file, check=True)
    assert (report.open, report.continue_, report.pinned, report.stuck) == (
        RUNS, RUNS - len(past), len(past), 0,
    )  # fmt: skip
    assert {one.run for one in report.runs if one.verdict == "pinned"} == past
    assert all(
        one.at and one.step and one.field and one.remedy for one in report.runs if one.run in past
    )
    assert await s.ledger.store.size() == size  # a check writes nothing

    report = await s.deploy(file, reason="a change")
    assert report.deployed and report.adopted == RUNS - len(past)
    await s.restart()  # another process, which has only the store
    await ended(s, found)
    assert not s.engine.stuck
    fresh = await begun(s, stages=1, runs=1)
    await ended(s, fresh)
    await s.engine.close()


@pytest.mark.slow
@pytest.mark.parametrize("edit", EDITS)
async def test_a_change_of_code_under_200_open_runs(edit: str, tmp_path: Path):
    change, first = EDITS[edit]
    assert change(PYTHON) != PYTHON

    async def make() -> DeploySquad:
        return DeploySquad()

    await deployed_under(tmp_path, PYTHON, change(PYTHON), ".py", first, make)


def steps(tmp_path: Path) -> Plugin:
    """Return the steps alone, installed, for manifests."""
    names: dict[str, Any] = {"__name__": "installed_steps"}
    module = type(sys)("installed_steps")
    sys.modules["installed_steps"] = module
    exec(compile(PYTHON, "installed_steps", "exec"), vars(module))
    names = vars(module)
    return Plugin(name="steps", actions=(names["add"], names["look"]))


@pytest.mark.slow
@pytest.mark.parametrize("edit", GRAPH_EDITS)
async def test_a_change_of_a_manifest_under_200_open_runs(edit: str, tmp_path: Path):
    change, first = GRAPH_EDITS[edit]
    assert change(MANIFEST) != MANIFEST

    async def make() -> DeploySquad:
        return DeploySquad(steps(tmp_path))

    await deployed_under(tmp_path, MANIFEST, change(MANIFEST), ".yaml", first, make)


@pytest.mark.slow
@pytest.mark.parametrize("checked", [True, False])
async def test_control_the_same_change_without_versions_strands_the_runs(
    checked: bool, tmp_path: Path
):
    """The code is simply replaced, as where one version is installed at a time:
    pinned by digest every run stops, not pinned those past the change do."""
    import msgspec

    def installed(text: str, name: str) -> Plugin:
        module = type(sys)(name)
        sys.modules[name] = module
        exec(compile(text, name, "exec"), vars(module))
        names = vars(module)
        flow = msgspec.structs.replace(
            names["case"], digest=f"sha256:{name if checked else 'same'}"
        )
        return Plugin(name="flow", workflows=(flow,), actions=(names["add"], names["look"]))

    change, first = EDITS["inserted"]
    s = DeploySquad(installed(PYTHON, "control_old"))
    found = await begun(s)
    plugins = [one for one in s.registry.plugins if one.name != "flow"]
    await s.restart(Registry([*plugins, installed(change(PYTHON), "control_new")]))
    stranded = set()
    for run, stage in found.items():
        try:
            for number in range(stage, STAGES):
                await s.engine.signal(run, f"go{number + 1}", None, actor="person:ada")
            await s.engine.wait(run, timeout_ms=5000)
        except SquadError:
            stranded.add(run)
    assert len(stranded) == (RUNS if checked else sum(stage >= first for stage in found.values()))
    await s.engine.close()
