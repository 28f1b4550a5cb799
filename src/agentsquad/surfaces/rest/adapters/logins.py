"""Logins kept in a file of the user's configuration folder, readable by nobody
else."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from agentsquad.kernel.errors import InvalidError

NAME = "logins.json"


def folder_in(environment: Mapping[str, str]) -> Path:
    """Return where configuration of this user is kept."""
    named = environment.get("XDG_CONFIG_HOME")
    base = Path(named) if named else Path(environment.get("HOME") or Path.home()) / ".config"
    return base / "squad"


class FileLogins:
    """Tokens by the address of their server (`Logins`)."""

    def __init__(self, folder: Path, ca: str | None = None) -> None:
        self._file = folder / NAME
        self.ca = ca

    @property
    def place(self) -> str:
        """Where they are kept."""
        return str(self._file)

    def token(self, url: str) -> str | None:
        """Return the token of a server."""
        return self._read().get(url)

    def keep(self, url: str, token: str) -> None:
        """Keep a token."""
        self._write({**self._read(), url: token})

    def forget(self, url: str) -> bool:
        """Forget a token; return whether there was one."""
        known = self._read()
        if known.pop(url, None) is None:
            return False
        self._write(known)
        return True

    def _read(self) -> dict[str, str]:
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=dict[str, str])
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.MsgspecError) as error:
            raise InvalidError(
                f"{self._file} cannot be read", code="server.logins", hint="remove it, log in again"
            ) from error

    def _write(self, known: Mapping[str, str]) -> None:
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = self._file.with_name(NAME + ".new")
        temporary.unlink(missing_ok=True)
        opened = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(opened, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(dict(known)), indent=1) + b"\n")
        temporary.replace(self._file)
