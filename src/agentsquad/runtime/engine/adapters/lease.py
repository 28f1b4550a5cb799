"""One process at a time drives the runs of a store: an advisory lock on a file.

The lock belongs to the open file, so the system gives it back when the process
dies, however it dies. Reading, approving and signalling need no lease.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from agentsquad.runtime.engine.contract import EngineBusyError


class FileLease:
    """A lease held through `flock`; the file names the process that holds
    it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle: int | None = None

    @property
    def held(self) -> bool:
        """Whether this process drives the store's runs."""
        return self._handle is not None

    def acquire(self) -> None:
        """Take the lease or raise EngineBusyError naming who has it."""
        if self._handle is not None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(handle, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(handle)
            raise EngineBusyError(
                f"process {holder} is running the runs of this store",
                details={"pid": holder},
            ) from error
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        self._handle = handle

    def release(self) -> None:
        """Give it back."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
