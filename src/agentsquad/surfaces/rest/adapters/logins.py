"""Logins kept in a file of the user's configuration folder, readable by nobody
else."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from agentsquad.kernel.errors import InvalidError
from agentsquad.surfaces.rest.contract import Login

NAME = "logins.json"


def folder_in(environment: Mapping[str, str]) -> Path:
    """Return where configuration of this user is kept."""
    named = environment.get("XDG_CONFIG_HOME")
    base = Path(named) if named else Path(environment.get("HOME") or Path.home()) / ".config"
    return base / "squad"


class FileLogins:
    """Tokens and logins by the address of their server (`Logins`)."""

    def __init__(self, folder: Path, ca: str | None = None) -> None:
        self._file = folder / NAME
        self.ca = ca

    @property
    def place(self) -> str:
        """Where they are kept."""
        return str(self._file)

    def kept(self, url: str) -> str | Login | None:
        """Return the token or the login that is kept for a server."""
        return self._read().get(url)

    def keep(self, url: str, kept: str | Login) -> None:
        """Keep a token or a login."""
        with self.alone():
            self.put(url, kept)

    def put(self, url: str, kept: str | Login) -> None:
        """Keep it where one is `alone` already."""
        self._write({**self._read(), url: kept})

    def forget(self, url: str) -> bool:
        """Forget a token; return whether there was one."""
        with self.alone():
            known = self._read()
            if known.pop(url, None) is None:
                return False
            self._write(known)
            return True

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other processes of this user from changing the file; the token
        that renews a login is good for one of them only."""
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        opened = os.open(self._file.with_name(NAME + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(opened, fcntl.LOCK_EX)
            yield
        finally:
            os.close(opened)

    def _read(self) -> dict[str, str | Login]:
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=dict[str, str | Login])
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.MsgspecError) as error:
            raise InvalidError(
                f"{self._file} cannot be read", code="server.logins", hint="remove it, log in again"
            ) from error

    def _write(self, known: Mapping[str, str | Login]) -> None:
        temporary = self._file.with_name(NAME + ".new")
        temporary.unlink(missing_ok=True)
        opened = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(opened, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(dict(known)), indent=1) + b"\n")
        temporary.replace(self._file)
