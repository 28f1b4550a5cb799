"""What the native engine's own errors cost."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

BROKEN = """
from agentsquad.runtime.policy.adapters.rego import new_engine
try:
    new_engine().add_policy("p.rego", "package p\\nx {")
except RuntimeError as error:
    print("Stack backtrace" in str(error))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("asked", "traced"), [({}, "False"), ({"RUST_LIB_BACKTRACE": "1"}, "True")]
)
def test_a_native_stack_trace_is_only_made_for_who_asks_for_it_by_name(
    asked: dict[str, str], traced: str
) -> None:
    plain = {k: v for k, v in os.environ.items() if k != "RUST_LIB_BACKTRACE"}
    done = subprocess.run(
        [sys.executable, "-c", BROKEN],
        env={**plain, "RUST_BACKTRACE": "1", **asked},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == traced
