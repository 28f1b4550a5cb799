"""The ledger in PostgreSQL is linearizable while its clients are killed and its
server is stopped, killed and started again.
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from agentsquad.operations.consistency.verdict import Bounds, judge


def load(name: str) -> ModuleType:
    if name not in sys.modules:
        path = Path(__file__).with_name(f"{name}.py")
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec and spec.loader
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


histories = load("simulated_history")
workload = load("store_workload")


@pytest.fixture
def server(postgresql_server: dict[str, Any]) -> Iterator[Any]:
    """A server that only this test uses."""
    folder = Path(tempfile.mkdtemp(prefix="squad-test-"))
    made = sys.modules["squad_services"].Server("postgresql", folder)
    made.prepare()
    made.start()
    yield made
    made.stop()
    shutil.rmtree(folder)


@pytest.mark.slow
def test_what_processes_saw_of_a_server_that_fails_is_linearizable(
    server: Any, tmp_path: Path
) -> None:
    restarts: list[str] = []

    def disturb(number: int) -> None:
        if number % 2:
            server.process.kill()
            server.process.wait()
        else:
            server.stop()
        restarts.append("killed" if number % 2 else "stopped")
        server.log.write_text("")
        server.start()

    recorded = workload.record(
        tmp_path, url=server.described["url"], kills=4, operations=80, disturb=disturb
    )
    assert restarts == ["stopped", "killed"] * 2
    for model, events in recorded.items():
        history = histories.recorded(events, model)
        answered = [event for event in events if event["type"] == "ok"]
        unknown = [event for event in events if event["type"] == "info"]
        print(f"{model}: {len(answered)} answered, {len(unknown)} of unknown outcome")
        assert len(answered) > 100
        assert judge(history, Bounds(lambda: 0.0, 1.0, steps=2_000_000)).linearizable is True
