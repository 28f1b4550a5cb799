"""The entry of `squad`: this distribution, handed to the command line.

Nothing heavy is imported before a command is carried out: words, options and
help come from the index (catalogue.py).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentsquad.assembly.squad import Squad
    from agentsquad.kernel.registry import Registry
    from agentsquad.surfaces.gateway.operation import Operation

ONLY_THE_OWNER = 0o077


class Distribution:
    """What is installed here."""

    def __init__(self) -> None:
        self._registry: Registry | None = None

    @property
    def debug(self) -> bool:
        """Whether a bug shows where it happened: SQUAD_DEBUG."""
        from agentsquad.assembly.settings import read

        return read().debug

    def operations(self) -> Sequence[Operation]:
        """Return what is offered, from the index."""
        from agentsquad.assembly.catalogue import index

        return index()

    def registry(self) -> Registry:
        """Return everything this distribution mounts."""
        if self._registry is None:
            from agentsquad.assembly.catalogue import plugins
            from agentsquad.kernel.registry import Registry

            self._registry = Registry(plugins())
        return self._registry

    def open(self, home: str | None = None) -> Squad:
        """Open the installation that the environment describes."""
        from agentsquad.assembly.settings import read
        from agentsquad.assembly.squad import Squad

        return Squad(read(home=home), self.registry())


def main() -> None:
    """Run `squad` with the process's own arguments.

    Whatever it writes, only its owner may read: folders are made 0700, files
    0600.
    """
    os.umask(ONLY_THE_OWNER)
    from agentsquad.surfaces.cli.main import run_command_line

    run_command_line(Distribution())


if __name__ == "__main__":
    main()
