"""The entry of `squad`: this distribution, handed to the command line.

Nothing heavy is imported before a command is carried out: words, options and
help come from the index (catalogue.py).
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentsquad.assembly.squad import Squad
    from agentsquad.kernel.registry import Registry
    from agentsquad.surfaces.gateway.installation import Installation
    from agentsquad.surfaces.gateway.operation import Operation
    from agentsquad.surfaces.gateway.serving import Serving

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

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables of the process."""
        return os.environ

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

    def open(self, home: str | None = None, namespace: str | None = None) -> Squad:
        """Open a namespace of the installation that the environment
        describes."""
        from agentsquad.assembly.settings import read
        from agentsquad.assembly.squad import Squad
        from agentsquad.surfaces.gateway.serving import Serving

        squad = Squad(read(home=home, namespace=namespace), self.registry())
        squad.ports.provide(Serving, lambda: serving(squad))
        spare_collector()
        return squad


def serving(squad: Squad) -> Serving:
    """Return what serves an installation, where the extra for it is there."""
    from agentsquad.kernel.errors import UnsupportedError

    try:
        from agentsquad.assembly.server import Server
    except ImportError as error:
        extra = "agentsquad[server]"
        raise UnsupportedError(f"install '{extra}'", hint=f"pip install '{extra}'") from error
    return Server(squad.settings, squad.registry)


def spare_collector() -> None:
    """Tell the garbage collector that what is loaded now stays.

    To look at it again and again cost a sixth of the time of each event.
    """
    import gc

    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def installation() -> Installation:
    """Return what commands are for: this machine, or the server that
    SQUAD_SERVER names."""
    here = Distribution()
    if not os.environ.get("SQUAD_SERVER"):
        return here
    from agentsquad.assembly.remote import RemoteInstallation

    return RemoteInstallation(here)


def main() -> None:
    """Run `squad` with the process's own arguments.

    Whatever it writes, only its owner may read: folders are made 0700, files
    0600.
    """
    os.umask(ONLY_THE_OWNER)
    from agentsquad.surfaces.cli.main import run_command_line

    try:
        run_command_line(installation())
    except SystemExit as ended:
        _leave(ended.code if isinstance(ended.code, int) else 1)


def _leave(code: int) -> None:
    """End now.

    The store is closed by then; a local model may still be thinking in a thread
    of its own, and nobody waits for what it would say. Temporal's client has
    threads that Python does not know of and that do not survive its end.
    """
    if threading.active_count() == 1 and "temporalio" not in sys.modules:
        sys.exit(code)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
