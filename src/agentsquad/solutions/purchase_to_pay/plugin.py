"""What purchase to pay offers: its steps, its two workflows, its policy, the
folders it works with and its agents."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from agentsquad.kernel.registry import Plugin
from agentsquad.operations.trials.contract import Trial
from agentsquad.solutions.purchase_to_pay import actions, demo, trial
from agentsquad.solutions.purchase_to_pay.case_workflow import purchase_to_pay_case
from agentsquad.solutions.purchase_to_pay.contract import (
    Approver,
    FileSource,
    FixtureFolder,
    Outbox,
    Payments,
)
from agentsquad.solutions.purchase_to_pay.example import example
from agentsquad.solutions.purchase_to_pay.rules import RULES
from agentsquad.solutions.purchase_to_pay.workflow import purchase_to_pay
from agentsquad.workforce.agents.contract import ModelCatalogue

_HERE = files(__package__)


def policies() -> dict[str, str]:
    """Return the rules and data of the process, by the names they mount
    under."""
    return {
        f"p2p/{entry.name}": entry.read_text("utf-8")
        for entry in sorted(_HERE.joinpath("policy").iterdir(), key=lambda e: e.name)
        if entry.name.endswith((".rego", ".json"))
    }


def agents() -> tuple[dict[str, Any], ...]:
    """Return the Agent resources the process works with."""
    import yaml

    return tuple(
        yaml.safe_load(entry.read_text("utf-8"))
        for entry in sorted(_HERE.joinpath("agents").iterdir(), key=lambda e: e.name)
        if entry.name.endswith(".yaml")
    )


def rules() -> Mapping[str, Any]:
    """Return what the agents answer where no model is installed."""
    return RULES


def file_source(settings: Any) -> FileSource:
    """Return the reader of folders."""
    from agentsquad.solutions.purchase_to_pay.adapters.folder import DiskFileSource

    return DiskFileSource()


def outbox(settings: Any) -> Outbox:
    """Return the outbox below the home folder."""
    from agentsquad.solutions.purchase_to_pay.adapters.folder import DiskOutbox

    return DiskOutbox(Path(settings.home) / "outbox")


def bank(settings: Any) -> Payments:
    """Return the simulated bank below the home folder."""
    from agentsquad.solutions.purchase_to_pay.adapters.bank_folder import BankFolder

    return BankFolder(Path(settings.home) / "bank")


def fixtures(settings: Any) -> FixtureFolder:
    """Return the folder of the shipped orders, and a writer of new ones."""
    from agentsquad.solutions.purchase_to_pay.adapters.fixture_folder import DiskFixtureFolder

    return DiskFixtureFolder(Path(str(_HERE.joinpath("fixtures"))))


def terminal(settings: Any) -> Approver:
    """Return the person at the terminal, if there is one."""
    from agentsquad.solutions.purchase_to_pay.adapters.terminal import TerminalApprover

    return TerminalApprover()


def trial_ports(world: Mapping[str, Any]) -> dict[Any, Any]:
    """Return a folder, an outbox, a bank and rules for models, in memory."""
    from agentsquad.solutions.purchase_to_pay.adapters import memory

    return {
        FileSource: memory.MemoryFiles(trial.files_of(world)),
        Outbox: memory.MemoryOutbox(),
        Payments: memory.MemoryBank(),
        **_rule_models(),
    }


@cache
def _rule_models() -> dict[Any, Any]:
    """Return the models every installation has: rules, whatever else is
    installed here."""
    from agentsquad.integrations.connectors.ai.contract import Models
    from agentsquad.integrations.connectors.ai.plugin import build_models
    from agentsquad.runtime.determinism.rehearsal import ManualClock, SeededEntropy
    from agentsquad.solutions.purchase_to_pay.adapters.memory import Providing

    made = build_models(Providing(ManualClock(), SeededEntropy(), RULES))
    return {Models: made, ModelCatalogue: made}


plugin = Plugin(
    name="purchase-to-pay",
    actions=(*actions.STEPS, demo.run, demo.data, example),
    workflows=(purchase_to_pay, purchase_to_pay_case),
    policies=policies(),
    ports={
        FileSource: file_source,
        Outbox: outbox,
        Payments: bank,
        FixtureFolder: fixtures,
        Approver: terminal,
    },
    trials=(
        Trial(
            workflow="purchase-to-pay",
            scenarios=trial.scenarios,
            ports=trial_ports,
            reads=("p2p.scan", "p2p.screen", "p2p.similarity", "payments.history"),
            effects=("p2p.acknowledge", "p2p.write_letter", "payments.send"),
            invariants=trial.LAWS,
        ),
    ),
)
