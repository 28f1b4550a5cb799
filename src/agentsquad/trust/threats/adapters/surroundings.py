"""What lies around an installation: the modes of its files, and its
environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

OTHERS = 0o077  # what group and others may


class HomeSurroundings:
    """Of one home folder."""

    def __init__(self, home: Path, environment: Mapping[str, str]) -> None:
        self._home = home
        self._environment = environment

    def exposed(self) -> Sequence[str]:
        """Return what others may read; nothing below a folder that they may
        not enter."""
        if not self._home.exists() or not self._home.stat().st_mode & OTHERS:
            return ()
        found = [one for one in sorted(self._home.rglob("*")) if one.is_file()]
        return [str(one.relative_to(self._home)) for one in found if one.stat().st_mode & OTHERS]

    def variable(self, name: str) -> str:
        """Return a variable, empty without one."""
        return self._environment.get(name, "")
