"""The guard: what goes past the door does not leave a rehearsal either.

Workflow code and pure actions have no business with files, processes or
sockets. Python tells before it changes any of these; while a rehearsal is
watched that is refused and noted. Reads that are done for real are not watched.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from agentsquad.kernel.errors import DeniedError

WRITING = os.O_WRONLY | os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_TRUNC
CHANGES = frozenset(
    {
        "os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate",
        "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn",
        "shutil.rmtree", "shutil.copyfile", "shutil.move", "subprocess.Popen",
        "socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg", "sqlite3.connect",
    }
)  # fmt: skip
CACHE = "__pycache__"  # what an import leaves beside its source

_guard: ContextVar[Guard | None] = ContextVar("guard", default=None)
_installed: list[bool] = []


class TouchedError(DeniedError):
    """Something in a rehearsal reached for the world past its actions."""

    code = "rehearsal.touched"


class Guard:
    """Watches one rehearsal; `touched` says what was reached for."""

    def __init__(self) -> None:
        self.touched: list[str] = []

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch what is done inside the block and whatever it sets going."""
        if not _installed:
            _installed.append(True)
            sys.addaudithook(_heard)
        token = _guard.set(self)
        try:
            yield
        finally:
            _guard.reset(token)

    def refuse(self, event: str, args: tuple[Any, ...]) -> None:
        """Note what was reached for and keep it from happening."""
        what = f"{event}({', '.join(repr(arg)[:60] for arg in args[:2])})"
        self.touched.append(what)
        raise TouchedError(
            f"a rehearsal touches nothing, but {what} was about to",
            hint="put it into an action and call that from the workflow",
        )


@contextmanager
def unwatched() -> Iterator[None]:
    """Let what is done inside the block pass."""
    token = _guard.set(None)
    try:
        yield
    finally:
        _guard.reset(token)


def _heard(event: str, args: tuple[Any, ...]) -> None:
    if event == "open":
        flags = args[2]
        if not isinstance(flags, int) or not flags & WRITING:
            return
    elif event not in CHANGES:
        return
    guard = _guard.get()
    if guard is not None and not any(CACHE in str(arg) for arg in args[:2]):
        guard.refuse(event, args)
