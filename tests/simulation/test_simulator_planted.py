"""Every planted bug is found, within the number of seeds that is stated with
it, and its seed fails again in the same way.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from agentsquad.testing.simulator import __main__ as command
from agentsquad.testing.simulator import simulate


def load(name: str) -> ModuleType:
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / f"{name}.py")
        assert spec and spec.loader
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


PLANTED = load("planted_bugs").PLANTED


@pytest.mark.slow
@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_bug_is_found_and_its_seed_fails_again(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant, world, seeds = PLANTED[name]
    plant(monkeypatch)
    for seed in seeds:
        report = simulate(seed, world=world)
        if report.failed:
            break
    else:
        pytest.fail(f"{name} was not found within {len(seeds)} seeds")
    if name != "idempotency_key_forgotten":  # that bug itself is no function of the seed
        assert simulate(seed, world=world) == report
    monkeypatch.undo()
    assert not simulate(seed, world=world).failed, "without the bug the seed passes"


def test_a_failing_seed_prints_the_command_that_repeats_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plant, world, _ = PLANTED["plan_skipped"]
    plant(monkeypatch)
    assert command.main(["--seeds", "9", "--world", world, "--workers", "1"]) == 1
    lines = capsys.readouterr().out.splitlines()
    repeat = next(line for line in lines if "repeat it:" in line)
    assert lines[-1].startswith("9 seeds, ") and lines[-1] != "9 seeds, 0 failures"
    again = repeat.partition(command.COMMAND)[2].split()
    assert command.main(again) == 1
    assert "log before act" in capsys.readouterr().out
