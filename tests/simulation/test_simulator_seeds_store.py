"""Five hundred seeds of the store world in every build; `make simulate`
runs more.
"""

from __future__ import annotations

import pytest

from agentsquad.testing.simulator import simulate

SEEDS, PORTION = 500, 50


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, SEEDS, PORTION))
def test_no_law_is_broken_in_any_seed_of_the_store_world(first: int) -> None:
    for seed in range(first, first + PORTION):
        report = simulate(seed, world="store")
        assert not report.findings, (
            f"python -m agentsquad.testing.simulator --seed {seed} --world store --trace",
            report.findings,
            report.last,
        )
