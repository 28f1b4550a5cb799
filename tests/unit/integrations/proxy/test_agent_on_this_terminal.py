"""What an agent prints, and where: beside the summary, so that a program can
read that alone."""

from __future__ import annotations

import sys

import pytest

from agentsquad.integrations.proxy.adapters.programs import SystemPrograms

SPEAKS = (sys.executable, "-c", "print('said by the agent')")


@pytest.mark.parametrize("aside", [False, True])
async def test_an_agent_prints_where_it_is_told(
    aside: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    assert await SystemPrograms().run(SPEAKS, {}, (), aside=aside) == 0
    told = capfd.readouterr()
    assert ("said by the agent" in told.out) is not aside
    assert ("said by the agent" in told.err) is aside
