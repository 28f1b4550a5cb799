"""The entry of `squad`: this distribution, handed to the command line."""

from __future__ import annotations

from agentsquad.assembly.catalogue import plugins
from agentsquad.assembly.settings import read
from agentsquad.assembly.squad import Squad
from agentsquad.kernel.registry import Registry


class Distribution:
    """What is installed here."""

    def __init__(self) -> None:
        self._registry: Registry | None = None

    def registry(self) -> Registry:
        """Return everything this distribution mounts."""
        if self._registry is None:
            self._registry = Registry(plugins())
        return self._registry

    def open(self, home: str | None = None) -> Squad:
        """Open the installation that the environment describes."""
        return Squad(read(home=home), self.registry())


def main() -> None:
    """Run `squad` with the process's own arguments."""
    from agentsquad.surfaces.cli.main import run_command_line

    run_command_line(Distribution())


if __name__ == "__main__":
    main()
