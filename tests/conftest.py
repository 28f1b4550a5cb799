"""What every test stands on: reproducible property tests, and no surprise from
the environment.
"""

from __future__ import annotations

import itertools
import os

import pytest
from hypothesis import HealthCheck, settings

# "ci" draws the same examples every time, so a red build is red on every desk;
# "explore" looks further with fresh ones: HYPOTHESIS_PROFILE=explore make
# pytest.
settings.register_profile(
    "ci",
    derandomize=True,
    deadline=None,
    max_examples=100,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("explore", deadline=None, max_examples=2000, print_blob=True)
homes = itertools.count()
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(autouse=True)
def quiet_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory):
    """Hide the developer's own settings and keys; a store made by accident
    lands in a temp folder.
    """
    for name in list(os.environ):
        if name.startswith("SQUAD_") or name.endswith("_API_KEY"):
            monkeypatch.delenv(name)
    home = tmp_path_factory.getbasetemp() / f"squad-home-{next(homes)}"
    monkeypatch.setenv("SQUAD_HOME", str(home))
