"""What others may know of attestation: its ports and its errors."""

from __future__ import annotations

from typing import Protocol

from agentsquad.kernel.errors import IntegrityError, InvalidError, MissingError, UnavailableError

CHECKPOINTED = "log.checkpointed"
"""The event that records a signed head, in the stream `log`."""

ROTATED = "log.key_rotated"
"""The event that records which key follows another, in the stream `log`."""


class Notary(Protocol):
    """Holds the key of the log and remembers the newest head it signed."""

    def key(self) -> str:
        """Return the public key as NAME+HASH+BASE64, making it on first use."""
        ...

    def sign(self, message: bytes) -> bytes:
        """Return the raw signature of a message."""
        ...

    def links(self) -> list[tuple[str, str]]:
        """Return each key that was replaced with the note that says by which,
        oldest first."""
        ...

    def rotate(self, limit: int) -> None:
        """Replace the key durably by a new one of the same name; the old one
        signs that, and that it signed no head of more than `limit` events."""
        ...

    def check(self, key: str, message: bytes, signature: bytes) -> bool:
        """Say whether a signature fits; False for an unknown suite."""
        ...

    def last(self) -> bytes | None:
        """Return the newest signed head as a note, None if there is none."""
        ...

    def remember(self, note: bytes) -> None:
        """Keep a signed head, durably, where a rolled back log cannot
        reach it.
        """
        ...


class Files(Protocol):
    """Files outside the ledger that a person named; paths as they
    wrote them.
    """

    def read(self, path: str) -> bytes | None:
        """Return the content, None when there is no such file."""
        ...

    def write(self, path: str, data: bytes, *, public: bool = False) -> None:
        """Put the content in place durably, all or nothing, making folders.

        What is `public` may be read by everybody on the machine, and so may
        what is in the folders made for it.
        """
        ...

    def append(self, path: str, data: bytes) -> None:
        """Add to the end of a file durably, making it if needed."""
        ...


class ForkedError(IntegrityError):
    """The log does not extend a head that was signed before."""

    code = "log.forked"


class KeyUnsafeError(IntegrityError):
    """The signing key's file is not as it was written, or others can
    read it.
    """

    code = "log.key"


class KeyChainError(IntegrityError):
    """The log's keys do not follow from one another."""

    code = "log.key_chain"


class OriginError(InvalidError):
    """The head belongs to another log."""

    code = "log.origin"


class SubjectMissingError(MissingError):
    """There is no such run or event."""

    code = "prove.missing"


class DisclosureError(InvalidError):
    """What was asked to be disclosed is not a sealed value of this case."""

    code = "prove.disclose"


class FileFailedError(UnavailableError):
    """A file could not be read or written."""

    code = "file.failed"
