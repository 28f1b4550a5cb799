"""The log's signing key as a file in the home, by the `cryptography` library.

The file holds a note signer key; only its owner may read it. Beside it lies the
newest head signed with it, so that a log that was rolled back is noticed.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from agentsquad.kernel.errors import InvalidError
from agentsquad.runtime.ledger.checkpoint import Checkpoint
from agentsquad.runtime.ledger.note import ED25519, SignerKey, VerifierKey, parse
from agentsquad.trust.attestation.adapters.files import LocalFiles, translated
from agentsquad.trust.attestation.contract import KeyChainError, KeyUnsafeError
from agentsquad.trust.attestation.rotation import Link, link, read

KEY_FILE = "log.key"
HEAD_FILE = "log.head"
CHAIN_FILE = "log.keys"  # a line of JSON for each key that was replaced
NEXT_FILE = "log.key.next"
LOCK_FILE = "log.lock"


def check(key: VerifierKey, message: bytes, signature: bytes) -> bool:
    """Say whether an Ed25519 signature fits; False for any other suite."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    if key.suite != ED25519:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


class Ed25519Signer:
    """Signs with one Ed25519 key."""

    def __init__(self, name: str, seed: bytes) -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self._seed = seed
        self._key = VerifierKey(name, ED25519, self._private.public_key().public_bytes_raw())

    @classmethod
    def named_after_key(cls, seed: bytes) -> Ed25519Signer:
        """Return a signer whose name is derived from its key, so no two share
        one.
        """
        fingerprint = cls("unnamed", seed).key.fingerprint
        return cls(f"agentsquad.local/log/{fingerprint.removeprefix('sha256:')[:16]}", seed)

    @property
    def key(self) -> VerifierKey:
        """The public half."""
        return self._key

    @property
    def secret(self) -> SignerKey:
        """The private half, for storing."""
        return SignerKey(self._key.name, ED25519, self._seed, self._key.key_id)

    def sign(self, message: bytes) -> bytes:
        """Return the 64 bytes of the signature."""
        return self._private.sign(message)


class HomeNotary:
    """The key and the newest head in a folder of the home."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files = LocalFiles()
        self._signer: Ed25519Signer | None = None

    def key(self) -> str:
        """Return the public key; KeyUnsafeError when others can read the secret
        one.
        """
        return self._open().key.encode()

    def sign(self, message: bytes) -> bytes:
        """Return the raw signature of a message."""
        return self._open().sign(message)

    def links(self) -> list[tuple[str, str]]:
        """Return each key that was replaced with the note that says by
        which."""
        data = self._files.read(str(self._folder / CHAIN_FILE)) or b""
        try:
            return [msgspec.json.decode(line, type=tuple[str, str]) for line in data.splitlines()]
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise KeyChainError(
                f"{self._folder / CHAIN_FILE} is damaged", hint="restore it from a backup"
            ) from error

    def rotate(self, limit: int) -> None:
        """Replace the key, the chain before the key: whoever opens them next
        finishes what a crash left."""
        self._open()
        path, following = self._folder / KEY_FILE, self._folder / NEXT_FILE
        with translated(str(path)), self._alone():
            old = _load(path)
            new = Ed25519Signer(old.key.name, os.urandom(32))
            one = link(old, limit, new.key)
            chain = [*self.links(), (one.old, one.note)]
            following.unlink(missing_ok=True)
            _write_secret(following, new)
            _sync(self._folder)
            lines = b"".join(msgspec.json.encode(each) + b"\n" for each in chain)
            self._files.write(str(self._folder / CHAIN_FILE), lines)
            following.replace(path)
            _sync(self._folder)
        self._signer = new

    def _open(self) -> Ed25519Signer:
        """Return the present key; another process may have replaced it."""
        wanted = self._wanted()
        if self._signer is None or wanted not in (None, self._signer.key.encode()):
            path, following = self._folder / KEY_FILE, self._folder / NEXT_FILE
            with translated(str(path)):
                if not path.exists():
                    self._create(path)
                if following.exists():
                    self._finish(path, following)
                self._signer = _load(path)
        return self._signer

    def _wanted(self) -> str | None:
        """Return the key that the chain leads to; None where none was
        replaced."""
        links = self.links()
        return read(Link(*links[-1]), check).new.encode() if links else None

    def _finish(self, path: Path, following: Path) -> None:
        """Put the next key in place if the chain leads to it; one that the
        chain knows nothing of was never used."""
        with self._alone():
            if not following.exists():
                return  # whoever was replacing it has done so meanwhile
            wanted = self._wanted()
            if wanted in (None, _load(path).key.encode()):
                following.unlink()
            elif wanted == _load(following).key.encode():
                following.replace(path)
            else:
                raise KeyChainError(
                    f"neither {path} nor {following} is the key that {CHAIN_FILE} leads to",
                    hint="restore the folder from a backup",
                )
            _sync(self._folder)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the lock under which keys are replaced."""
        handle = os.open(self._folder / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def check(self, key: str, message: bytes, signature: bytes) -> bool:
        """Say whether a signature fits."""
        return check(VerifierKey.parse(key), message, signature)

    def last(self) -> bytes | None:
        """Return the newest signed head."""
        return self._files.read(str(self._folder / HEAD_FILE))

    def remember(self, note: bytes) -> None:
        """Keep a signed head unless a larger one is kept already."""
        if covers(note, self.last()):
            self._files.write(str(self._folder / HEAD_FILE), note)

    def _create(self, path: Path) -> None:
        """Make the key so that two processes at once end up with the
        same one.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        signer = Ed25519Signer.named_after_key(os.urandom(32))
        draft = path.with_name(f"{KEY_FILE}.{os.getpid()}.{os.urandom(4).hex()}")
        try:
            _write_secret(draft, signer)
            try:
                os.link(draft, path)
            except FileExistsError:
                return
        finally:
            draft.unlink(missing_ok=True)
        _sync(self._folder)


def _write_secret(path: Path, signer: Ed25519Signer) -> None:
    """Write a key so that only its owner may read it, durably."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(signer.secret.encode() + "\n")
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    """Make what a folder lists durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _load(path: Path) -> Ed25519Signer:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise KeyUnsafeError(
            f"{path} can be read by others (mode {mode:04o})",
            hint=f"chmod 600 {path}; if somebody may have read it, make a new key",
        )
    try:
        # Never in an error: the text is a secret.
        stored = SignerKey.parse(path.read_bytes().decode("ascii", "replace").strip())
    except InvalidError:
        raise KeyUnsafeError(f"{path} is damaged", hint="restore it from a backup") from None
    if stored.suite != ED25519 or len(stored.secret) != 32:
        raise KeyUnsafeError(f"{path} holds no Ed25519 key", hint="restore it from a backup")
    signer = Ed25519Signer(stored.name, stored.secret)
    if signer.key.key_id != stored.key_id:
        raise KeyUnsafeError(f"{path} is damaged", hint="restore it from a backup")
    return signer


def covers(note: bytes, kept: bytes | None) -> bool:
    """Say whether a signed head is of at least as many events as one kept."""
    return kept is None or Checkpoint.of(parse(kept)).size <= Checkpoint.of(parse(note)).size
