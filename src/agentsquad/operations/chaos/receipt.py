"""The receipt: a report's digest, signed with the key of the log.

A C2SP signed note over a few lines anybody can read. Whoever has the report and
the key can check it; whoever has the log finds the same digest in it.
"""

from __future__ import annotations

from typing import Any

import msgspec

from agentsquad.kernel import canonical, hashing
from agentsquad.kernel.errors import InvalidError, SquadError
from agentsquad.operations.chaos.contract import Checked, Receipt, ReceiptError, Report
from agentsquad.runtime.ledger.note import VerifierKey, open_note, sign
from agentsquad.trust.attestation.contract import Notary

HEADING = "agentsquad.dev/chaos/v1"


class KeyOfLog:
    """The notary as a signer of notes."""

    def __init__(self, notary: Notary) -> None:
        self._notary = notary
        self.key = VerifierKey.parse(notary.key())

    def sign(self, message: bytes) -> bytes:
        """Return the raw signature of a message."""
        return self._notary.sign(message)


def body(report: Report) -> dict[str, Any]:
    """Return what a receipt is about: the report without it."""
    plain: dict[str, Any] = msgspec.to_builtins(report)
    plain.pop("receipt")
    return plain


def text(plain: dict[str, Any], digest: str) -> str:
    """Return the lines that are signed."""
    lines = [HEADING]
    lines += [
        f"{name.replace('_', '-')} {plain[name]}"
        for name in ("workflow", "definition", "points", "recovered", "repeated_effects")
    ]
    return "\n".join([*lines, f"report {digest}", ""])


def make(report: Report, notary: Notary) -> Receipt:
    """Sign a report."""
    plain = body(report)
    digest = hashing.digest(plain)
    signer = KeyOfLog(notary)
    note = sign(text(plain, digest), signer).encode().decode()
    return Receipt(digest=digest, note=note, key=signer.key.encode())


def check(data: bytes, notary: Notary, key: str | None = None) -> Checked:
    """Return what a receipt says if it holds; ReceiptError says what does not.

    `data` is the report as JSON; `key` the verifier key it must be signed by,
    by default the key of this installation's log, or one that it replaced.
    """
    plain, receipt = _read(data)
    digest = hashing.digest(plain)
    if digest != receipt.digest:
        raise ReceiptError(
            f"the report is not the one that was signed: its digest is {digest}, "
            f"the receipt says {receipt.digest}",
            hint="the report was changed; run squad chaos again",
        )
    trusted = [key] if key else [notary.key(), *(old for old, _ in notary.links())]
    known = VerifierKey.parse(receipt.key if receipt.key in trusted else trusted[0])
    if receipt.key != known.encode():
        raise ReceiptError(
            f"signed by another key than that of {known.name}",
            hint="give the key it should be signed by with --key",
        )
    try:
        note = open_note(
            receipt.note.encode(), [known], lambda k, m, s: notary.check(k.encode(), m, s)
        )
    except SquadError as error:
        raise ReceiptError(f"the signature does not hold: {error.message}") from error
    if note.text != text(plain, digest) or note.encode().decode() != receipt.note:
        raise ReceiptError("what was signed is not what the report says")
    return Checked(
        workflow=plain["workflow"],
        points=plain["points"],
        recovered=plain["recovered"],
        repeated_effects=plain["repeated_effects"],
        digest=digest,
        key=known.encode(),
        event=receipt.event,
        recorded=False,
    )


def _read(data: bytes) -> tuple[dict[str, Any], Receipt]:
    try:
        plain = canonical.loads(data)
        receipt = msgspec.convert(plain.pop("receipt"), Receipt)
        msgspec.convert({**plain, "receipt": None}, Report)
    except (InvalidError, msgspec.ValidationError, AttributeError, KeyError, TypeError) as error:
        raise ReceiptError(
            f"not a report of squad chaos: {error}",
            hint="give the file that squad chaos … -o json wrote",
        ) from error
    return plain, receipt
