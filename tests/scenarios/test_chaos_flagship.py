"""The flagship withstands faults at its event boundaries, in an empty folder.

CI plays a sample of every kind of point; `squad chaos purchase-to-pay
--every-event` plays all of them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from agentsquad.assembly.settings import Settings
from agentsquad.assembly.squad import Squad
from agentsquad.operations.chaos.contract import Report
from agentsquad.operations.chaos.point import KINDS
from agentsquad.solutions.purchase_to_pay import plugin
from agentsquad.solutions.purchase_to_pay.generator import generate

FEW = Path(plugin.__file__).with_name("fixtures_few")


def names() -> set[str]:
    return {str(path.relative_to(FEW)) for path in FEW.rglob("*") if path.is_file()}


def test_the_few_orders_are_those_the_generator_makes():
    made = generate(3, 1).files
    assert names() == set(made)
    assert all((FEW / name).read_bytes() == data for name, data in made.items())


@pytest.mark.slow
async def test_the_flagship_recovers_from_faults_of_every_kind(tmp_path: Path):
    home = tmp_path / ".squad"
    settings = Settings(
        home=home,
        store=f"sqlite:///{home}/log.db",
        policy=None,
        user="person:ada",
        environment={"SQUAD_MODELS": "off"},
    )
    squad = Squad(settings)
    try:
        report: Report = await squad.invoke(
            "chaos.run", {"workflow": "purchase-to-pay", "points": 40, "workers": 1}
        )
    finally:
        await squad.close()
    assert report.failures == []
    assert (report.points, report.recovered, report.repeated_effects) == (40, 40, 0)
    assert set(report.kinds) == set(KINDS)
    assert report.effects > 10 and report.status == "completed"
    assert not (home / "log.db").exists(), "nothing but the key is kept where there is no store"
    assert not (home / "outbox").exists() and not (home / "bank").exists()
