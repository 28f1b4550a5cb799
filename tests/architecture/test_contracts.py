"""The import contracts hold on the real house, and each is proven to catch a
planted violation.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grimp
import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
_spec = importlib.util.spec_from_file_location("architecture_skeleton", HERE / "skeleton.py")
assert _spec and _spec.loader
skeleton = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(skeleton)

FLOORS = "Imports only go down the house"
NEIGHBOURS = "Neighbours are known only by contract"
ADAPTERS = "Adapters are reached only through their plugin"
ROOMS = "In each room: plugin, adapters, logic, contract"
RUNTIME = "The runtime is itself stacked"
SURFACES = "Every surface stands on the gateway, none on another"
KNOTS = "No cycles between subsystems"
KERNEL = "The kernel is values: no files, no threads, no clock, no SDK"
FAMILIES = "agentsquad.integrations.connectors"
OUTSIDE = "Only adapters touch the outside world"
TERMINAL = "Only the command line knows the terminal"
NAMES = {FLOORS, NEIGHBOURS, ADAPTERS, ROOMS, RUNTIME, SURFACES, KNOTS, KERNEL}
NAMES |= {OUTSIDE, TERMINAL}

PLANTED = [
    ("kernel/errors", "runtime.ledger.contract", FLOORS),
    ("runtime/engine/noun", "workforce.agents.contract", FLOORS),
    ("trust/identity/noun", "solutions.purchase_to_pay.contract", FLOORS),
    ("solutions/purchase_to_pay/noun", "surfaces.gateway.dispatch", FLOORS),
    ("surfaces/gateway/dispatch", "assembly.settings", FLOORS),
    ("assembly/settings", "testing.clock", FLOORS),
    ("workforce/agents/noun", "trust.identity.noun", NEIGHBOURS),
    ("trust/identity/noun", "trust.attestation.noun", NEIGHBOURS),
    ("workforce/agents/actions", "workforce.agents.adapters.technology", ADAPTERS),
    ("surfaces/rest/app", "runtime.ledger.adapters.technology", ADAPTERS),
    ("runtime/policy/contract", "runtime.policy.actions", ROOMS),
    ("trust/identity/actions", "trust.identity.plugin", ROOMS),
    ("solutions/purchase_to_pay/contract", "solutions.purchase_to_pay.actions", ROOMS),
    ("runtime/ledger/noun", "runtime.engine.contract", RUNTIME),
    ("runtime/policy/noun", "runtime.resilience.noun", RUNTIME),
    ("surfaces/rest/app", "surfaces.cli.main", SURFACES),
]
OUTWARD = [
    ("kernel/action", "os", KERNEL),
    ("kernel/action", "pathlib", KERNEL),
    ("runtime/ledger/noun", "apsw", OUTSIDE),
    ("runtime/engine/noun", "sqlite3", OUTSIDE),
    ("integrations/connectors/ai/local/noun", "httpx", OUTSIDE),
    ("workforce/agents/plugin", "subprocess", OUTSIDE),
    ("solutions/purchase_to_pay/actions", "cryptography", OUTSIDE),
    ("trust/identity/actions", "click", TERMINAL),
]


def check(folder: Path) -> tuple[int, str]:
    result = subprocess.run(
        [
            str(Path(sys.executable).with_name("lint-imports")),
            "--config",
            str(ROOT / ".importlinter"),
            "--no-cache",
        ],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    return result.returncode, result.stdout + result.stderr


def sections(report: str) -> dict[str, str]:
    """Cut the list of broken contracts into one text a contract, on one line
    each.
    """
    _, _, broken = report.partition("Broken contracts")
    found: dict[str, list[str]] = {}
    current = ""
    for line in broken.splitlines():
        if line.strip() in NAMES:
            current = line.strip()
        found.setdefault(current, []).append(line.strip())
    return {name: " ".join(lines) for name, lines in found.items()}


@pytest.mark.slow
def test_the_contracts_are_kept_by_the_real_house() -> None:
    code, report = check(ROOT / "src")
    assert code == 0, report


@pytest.mark.slow
def test_a_clean_house_keeps_every_contract(tmp_path: Path) -> None:
    code, report = check(skeleton.build(tmp_path, {}))
    assert code == 0, report
    assert "11 kept, 0 broken" in report


@pytest.mark.slow
def test_every_planted_import_is_reported_under_its_contract(tmp_path: Path) -> None:
    planted: dict[str, str] = {}
    for module, target, _ in PLANTED:
        planted[module] = planted.get(module, "") + f"\nimport agentsquad.{target}"
    for module, target, _ in OUTWARD:
        planted[module] = planted.get(module, "") + f"\nimport {target}"
    code, report = check(skeleton.build(tmp_path, planted))
    assert code == 1
    broken = sections(report)
    for module, target, contract in PLANTED + OUTWARD:
        source = "agentsquad." + module.replace("/", ".")
        full = target if (module, target, contract) in OUTWARD else f"agentsquad.{target}"
        assert f"{source} -> {full} " in broken.get(contract, "") + " ", (source, full, contract)


@pytest.mark.slow
def test_a_cycle_between_subsystems_is_a_knot(tmp_path: Path) -> None:
    planted = {
        "runtime/policy/noun": "import agentsquad.runtime.resilience.noun",
        "runtime/resilience/noun": "import agentsquad.runtime.policy.noun",
    }
    code, report = check(skeleton.build(tmp_path, planted))
    assert code == 1
    assert KNOTS in sections(report)


@pytest.mark.slow
def test_a_room_nobody_placed_on_a_floor_is_refused(tmp_path: Path) -> None:
    code, report = check(skeleton.build(tmp_path, {"attic/noun": ""}))
    assert code == 1
    assert "attic" in report


def faults(graph: grimp.ImportGraph) -> list[str]:
    """Say what breaks the rules that import-linter cannot express."""
    return [*contract_faults(graph), *adapter_faults(graph), *connector_faults(graph)]


def contract_faults(graph: grimp.ImportGraph) -> Iterator[str]:
    """Contract modules know the kernel and other contracts, not in a circle."""
    contracts = sorted(name for name in graph.modules if name.endswith(".contract"))
    edges: dict[str, set[str]] = {name: set() for name in contracts}
    for name in contracts:
        for target in sorted(graph.find_modules_directly_imported_by(name)):
            if target in edges:
                edges[name].add(target)
            elif target.startswith("agentsquad.") and not target.startswith("agentsquad.kernel"):
                yield f"{name} imports {target}: a contract knows the kernel and contracts"
    for start in contracts:
        seen: set[str] = set()
        todo = list(edges[start])
        while todo:
            step = todo.pop()
            if step not in seen:
                seen.add(step)
                todo.extend(edges[step])
        if start in seen:
            yield f"{start} is part of a circle of contracts"


def adapter_faults(graph: grimp.ImportGraph) -> Iterator[str]:
    """Adapters are reached by the plugin of their own room, or of a room in
    the same family, and by no other.
    """
    for name in sorted(graph.modules):
        room, dot, _ = name.partition(".adapters")
        if dot:
            for importer in sorted(graph.find_modules_that_directly_import(name)):
                own = importer.startswith((f"{room}.adapters", f"{room}.plugin"))
                family = importer.startswith(f"{room}.") and ".adapters" in importer
                if not (own or family):
                    yield f"{importer} imports {name}: only {room}.plugin may"


def connector_faults(graph: grimp.ImportGraph) -> Iterator[str]:
    """A connector never knows another; what a family shares lies beside its
    connectors, and knows them only by their plugins.
    """
    roots = sorted(name for name in graph.modules if name.startswith(f"{FAMILIES}."))
    connectors = {
        name
        for name in roots
        if name.count(".") == FAMILIES.count(".") + 2
        and graph.find_children(name)
        and not name.endswith(".adapters")
    }
    for name in roots:
        home = next((one for one in connectors if f"{name}.".startswith(f"{one}.")), None)
        for target in sorted(graph.find_modules_directly_imported_by(name)):
            other = next((one for one in connectors if f"{target}.".startswith(f"{one}.")), None)
            if other and other != home and (home or not target.endswith((".plugin", ".contract"))):
                yield f"{name} imports {target}: a connector knows no other"


def graph_of(folder: Path, monkeypatch: pytest.MonkeyPatch) -> grimp.ImportGraph:
    monkeypatch.syspath_prepend(str(folder))
    for name in [n for n in sys.modules if n == "agentsquad" or n.startswith("agentsquad.")]:
        monkeypatch.delitem(sys.modules, name)
    return grimp.build_graph("agentsquad", cache_dir=None)


def test_contracts_know_only_the_kernel_and_contracts(monkeypatch: pytest.MonkeyPatch) -> None:
    assert faults(graph_of(ROOT / "src", monkeypatch)) == []


def test_the_graph_test_finds_what_it_is_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted = {
        "trust/identity/contract": "from agentsquad.trust.identity import noun",
        "insight/bi/contract": "import agentsquad.workforce.agents.contract",
        "workforce/agents/contract": "import agentsquad.insight.bi.contract",
        "runtime/control/plugin": "import agentsquad.runtime.ledger.adapters.technology",
        "integrations/connectors/ai/shape": "import agentsquad.integrations.connectors.ai.openai",
        "integrations/connectors/ai/local/noun": (
            "import agentsquad.integrations.connectors.ai.openai.contract\n"
            "import agentsquad.integrations.connectors.ai.shape"
        ),
    }
    found = faults(graph_of(skeleton.build(tmp_path, planted), monkeypatch))
    assert [line.split(" ")[0] for line in found] == [
        "agentsquad.trust.identity.contract",
        "agentsquad.insight.bi.contract",
        "agentsquad.workforce.agents.contract",
        "agentsquad.runtime.control.plugin",
        "agentsquad.integrations.connectors.ai.local.noun",
        "agentsquad.integrations.connectors.ai.shape",
    ]
    assert faults(graph_of(skeleton.build(tmp_path / "clean", {}), monkeypatch)) == []
