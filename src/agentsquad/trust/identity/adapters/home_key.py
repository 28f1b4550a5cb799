"""The key of the home: a file only its owner may read, from which keys for
sealing and marking are derived.

AES-256-GCM with a fresh nonce each and the purpose as associated data; HMAC
SHA-256 for marks. Several machines that serve one log share the file
(SQUAD_IDENTITY_KEY names it).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import stat
from pathlib import Path

from agentsquad.kernel.ports import Entropy
from agentsquad.trust.identity.contract import HomeKeyError, HomeKeyUnsafeError

SIZE = 32
_NONCE = 12


class KeySealer:
    """Seals under a key of 32 bytes."""

    def __init__(self, key: bytes, chance: Entropy | None = None) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        if len(key) != SIZE:
            raise HomeKeyError(f"the key of the home has {len(key)} bytes, not {SIZE}")
        self._box = AESGCM(hmac.new(key, b"agentsquad identity seal", hashlib.sha256).digest())
        self._marks = hmac.new(key, b"agentsquad identity mark", hashlib.sha256).digest()
        self._chance = chance

    def seal(self, purpose: str, data: bytes) -> str:
        """Return a box that only `unseal` with the same purpose opens."""
        nonce = os.urandom(_NONCE) if self._chance is None else self._chance.token(_NONCE)
        box = nonce + self._box.encrypt(nonce, data, purpose.encode())
        return _text(box)

    def unseal(self, purpose: str, box: str) -> bytes | None:
        """Return what is in a box; None where it is none of ours for that
        purpose."""
        from cryptography.exceptions import InvalidTag

        try:
            raw = base64.b64decode(box + "=" * (-len(box) % 4), b"-_", validate=True)
            if _text(raw) != box:  # one spelling only: a box may be what is counted once
                return None
            return self._box.decrypt(raw[:_NONCE], raw[_NONCE:], purpose.encode())
        except (ValueError, InvalidTag):
            return None

    def mark(self, purpose: str, data: bytes) -> str:
        """Return a keyed digest."""
        whole = purpose.encode() + b"\0" + data
        return hmac.new(self._marks, whole, hashlib.sha256).hexdigest()


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


class HomeSealer:
    """Seals under a key in a file, which is made when it is first needed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._made: KeySealer | None = None

    def seal(self, purpose: str, data: bytes) -> str:
        """Return a box that only `unseal` with the same purpose opens."""
        return self._sealer().seal(purpose, data)

    def unseal(self, purpose: str, box: str) -> bytes | None:
        """Return what is in a box; None where it is none of ours."""
        return self._sealer().unseal(purpose, box)

    def mark(self, purpose: str, data: bytes) -> str:
        """Return a keyed digest."""
        return self._sealer().mark(purpose, data)

    def _sealer(self) -> KeySealer:
        if self._made is None:
            try:
                self._made = KeySealer(self._load())
            except OSError as error:
                raise HomeKeyError(
                    f"{self._path}: {error.strerror or error}",
                    hint="check that the folder exists and is writable",
                ) from error
        return self._made

    def _load(self) -> bytes:
        while True:
            try:
                text = self._read()
            except FileNotFoundError:
                self._create()
                continue
            try:
                return base64.b64decode(text.strip(), validate=True)
            except ValueError as error:
                raise HomeKeyError(
                    f"{self._path} is damaged", hint="restore it from a backup"
                ) from error

    def _read(self) -> bytes:
        descriptor = os.open(self._path, os.O_RDONLY)
        with os.fdopen(descriptor, "rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & 0o077:
                raise HomeKeyUnsafeError(
                    f"{self._path} can be read by others (mode {mode:o})",
                    hint=f"chmod 600 {self._path}",
                )
            return file.read(1024)

    def _create(self) -> None:
        """Write a key in full under another name, then give it its own, unless
        another process was first."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = self._path.with_name(f".{self._path.name}.{os.getpid()}.{os.urandom(4).hex()}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(base64.b64encode(os.urandom(SIZE)) + b"\n")
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(draft, self._path)
            except FileExistsError:
                return
            folder = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        finally:
            os.unlink(draft)
