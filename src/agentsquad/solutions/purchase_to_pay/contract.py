"""What others may know of purchase to pay: its ports, the values that pass
them, its errors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Protocol

import msgspec
from msgspec import Meta

from agentsquad.kernel.errors import ConflictError, InvalidError, MissingError
from agentsquad.kernel.money import Money


class FileFound(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a folder; names are relative, the digest is of the bytes."""

    name: str
    size: int
    digest: str


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """The complete files of a folder by name, and those left alone and why."""

    files: tuple[FileFound, ...]
    skipped: Mapping[str, str] = {}


class FileSource(Protocol):
    """A folder that partners drop files into."""

    def list(self, folder: str) -> Listing:
        """Return what is there; a file still being written is skipped."""
        ...

    def read(self, folder: str, name: str) -> bytes:
        """Return the bytes of one file; FolderError when it is not there."""
        ...


class Outbox(Protocol):
    """Where documents for partners are put: acknowledgements and letters."""

    def put(self, box: str, name: str, data: bytes) -> bool:
        """Write a file whole or not at all; False if the same one was there.

        OutboxConflictError if the name is taken by other bytes.
        """
        ...

    def holds(self, box: str, name: str) -> bool:
        """Whether a document has left."""
        ...


class Remitted(msgspec.Struct, frozen=True, kw_only=True):
    """One invoice (or credit note, then negative) that a payment settles."""

    invoice: str
    amount: Money
    total: Money


class Payer(msgspec.Struct, frozen=True, kw_only=True):
    """Ourselves, as the bank and partners know us."""

    name: str = ""
    identity: str = ""
    routing: str = ""
    account: str = ""


class Instruction(msgspec.Struct, frozen=True, kw_only=True):
    """A payment as the bank gets it.

    `reference` is derived from what is paid, so that asking twice for the same
    payment is asking for one payment.
    """

    reference: Annotated[str, Meta(description="name of the payment; it follows from what is paid")]
    vendor: Annotated[str, Meta(description="key of the vendor on the master")]
    po: Annotated[str, Meta(description="order number")]
    payee: Annotated[str, Meta(description="name of who is paid")]
    routing: Annotated[str, Meta(description="bank of the payee")]
    account: Annotated[str, Meta(description="account of the payee")]
    amount: Annotated[Money, Meta(description="what is paid")]
    remitted: Annotated[
        tuple[Remitted, ...], Meta(description="invoices and credit notes it settles")
    ]
    payer: Annotated[Payer, Meta(description="who pays")] = Payer()
    buyer: Annotated[str, Meta(description="name of who placed the order")] = ""


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """The bank's answer; `repeated` when it knew the reference already."""

    reference: str
    amount: Money
    file: str
    repeated: bool = False


class Payments(Protocol):
    """The bank."""

    def send(self, instruction: Instruction, document: bytes, *, key: str) -> Receipt:
        """Take a payment once per reference; the key is kept with every
        attempt.

        PaymentConflictError if the reference is known with another content.
        """
        ...

    def find(self, instruction: Instruction) -> Receipt | None:
        """Return the receipt for a payment, None if it never arrived."""
        ...

    def settled(self, po: str, vendor: str) -> Sequence[Remitted]:
        """Return what was paid on an order so far, in the order it was sent."""
        ...


class FixtureFolder(Protocol):
    """Where the shipped orders lie, and how generated ones are written."""

    def shipped(self) -> str:
        """Return the folder of the orders that ship with the product."""
        ...

    def few(self) -> str:
        """Return the folder of a few orders to rehearse with."""
        ...

    def write(self, folder: str, files: Mapping[str, bytes]) -> str:
        """Write files into an empty or new folder and return its path.

        FolderError if it holds something else.
        """
        ...


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the person at the terminal said."""

    approve: bool
    approver: str
    reason: str


class Approver(Protocol):
    """The person at the terminal."""

    def present(self) -> bool:
        """Whether there is one to ask."""
        ...

    async def ask(self, text: str, people: Sequence[str]) -> Verdict | None:
        """Show a question; None leaves it to the inbox.

        `people` are those who may answer.
        """
        ...


class ScanInput(msgspec.Struct, frozen=True, kw_only=True):
    """A folder to look into."""

    folder: Annotated[str, Meta(description="folder the files are in")]


class FolderError(MissingError):
    """The folder or file is not there."""

    code = "p2p.folder"


class MasterError(InvalidError):
    """The vendor master cannot be used."""

    code = "p2p.master"


class UnreadableError(InvalidError):
    """The document is well formed but says too little to be used."""

    code = "p2p.unreadable"


class OutboxConflictError(ConflictError):
    """Another document of that name has left already."""

    code = "p2p.outbox"


class PaymentConflictError(ConflictError):
    """The bank knows this payment reference with another content."""

    code = "p2p.payment_conflict"


Json = Mapping[str, Any]
