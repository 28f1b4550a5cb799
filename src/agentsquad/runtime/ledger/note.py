"""Signed notes (C2SP signed-note): a text, a blank line, and signatures by
named keys.

Only the format: parsing, writing, key encodings. Who holds a private key and
which library does the arithmetic is the business of whoever hands in a `Signer`
or a `Check`. The suite is a byte of every key, so a later suite is a new number
and not a new format.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Iterable
from typing import Protocol

import msgspec

from agentsquad.kernel.errors import IntegrityError, InvalidError

ED25519 = 0x01
SUITES = {ED25519: "ed25519"}
NOTE_SIZE_MAX = 1_000_000
SIGNATURES_MAX = 64
_DASH = "— "
_LINE = re.compile(r"— (\S+) (\S+)\Z")


class Signature(msgspec.Struct, frozen=True):
    """One signature line: who signed, with which key, and the raw signature."""

    name: str
    key_id: int
    value: bytes

    def line(self) -> str:
        """Return "— name base64\\n"."""
        body = base64.b64encode(self.key_id.to_bytes(4, "big") + self.value).decode()
        return f"{_DASH}{self.name} {body}\n"


class Note(msgspec.Struct, frozen=True):
    """A text that ends with a newline, and its signatures, checked or not."""

    text: str
    signatures: tuple[Signature, ...] = ()

    def encode(self) -> bytes:
        """Return the bytes of the note."""
        return (self.text + "\n" + "".join(s.line() for s in self.signatures)).encode()


class VerifierKey(msgspec.Struct, frozen=True):
    """A public key with its name: what somebody must have been given to check a
    note.
    """

    name: str
    suite: int
    public: bytes

    @property
    def key_id(self) -> int:
        """The first four bytes of SHA-256(name, newline, suite, public key)."""
        data = self.name.encode() + b"\n" + bytes([self.suite]) + self.public
        return int.from_bytes(hashlib.sha256(data).digest()[:4], "big")

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the public key, for people to compare over another
        channel.
        """
        return "sha256:" + hashlib.sha256(self.public).hexdigest()

    def encode(self) -> str:
        """Return "name+hash+base64", the way verifier keys are published."""
        body = base64.b64encode(bytes([self.suite]) + self.public).decode()
        return f"{self.name}+{self.key_id:08x}+{body}"

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Read what `encode` wrote; InvalidError `note.key` for
        anything else.
        """
        name, hashed, data = _split_key(text)
        key = cls(name, data[0], data[1:])
        if f"{key.key_id:08x}" != hashed:
            raise InvalidError(
                f"the hash {hashed} in the key of {name!r} is not that of the key",
                code="note.key",
                hint="copy the whole line again",
            )
        if key.suite == ED25519 and len(key.public) != 32:
            raise InvalidError("an Ed25519 public key has 32 bytes", code="note.key")
        return key


class SignerKey(msgspec.Struct, frozen=True):
    """A private key with its name. `key_id` is that of the public key and comes
    from the encoding.
    """

    name: str
    suite: int
    secret: bytes
    key_id: int

    def __repr__(self) -> str:
        return f"SignerKey({self.name!r}, suite={self.suite}, key_id={self.key_id:08x})"

    def encode(self) -> str:
        """Return "PRIVATE+KEY+name+hash+base64"; keep it secret."""
        body = base64.b64encode(bytes([self.suite]) + self.secret).decode()
        return f"PRIVATE+KEY+{self.name}+{self.key_id:08x}+{body}"

    @classmethod
    def parse(cls, text: str) -> SignerKey:
        """Read what `encode` wrote; InvalidError `note.key` (without the text)
        for anything else.
        """
        prefix = "PRIVATE+KEY+"
        if not text.startswith(prefix):
            raise InvalidError("a signer key starts with PRIVATE+KEY+", code="note.key")
        name, hashed, data = _split_key(text[len(prefix) :])
        return cls(name, data[0], data[1:], int(hashed, 16))


class Signer(Protocol):
    """Signs with one key it holds."""

    @property
    def key(self) -> VerifierKey:
        """The public half."""
        ...

    def sign(self, message: bytes) -> bytes:
        """Return the raw signature of a message."""
        ...


Check = Callable[[VerifierKey, bytes, bytes], bool]
"""Says whether (key, message, signature) fits; False for a suite it does not
know.
"""


def valid_name(name: str) -> bool:
    """Say whether a key may have this name: not empty, no space, no plus, no
    control character.
    """
    return bool(name) and "+" not in name and not any(c.isspace() or c < " " for c in name)


def sign(text: str, *signers: Signer) -> Note:
    """Return a note over `text` by each signer in order; InvalidError
    `note.malformed` if none can.
    """
    _check_text(text)
    signatures = []
    for signer in signers:
        key = signer.key
        if not valid_name(key.name):
            raise InvalidError(f"{key.name!r} cannot name a key", code="note.key")
        signatures.append(Signature(key.name, key.key_id, signer.sign(text.encode())))
    return Note(text, tuple(signatures))


def parse(data: bytes) -> Note:
    """Read a note without checking any signature; InvalidError `note.malformed`
    says what is wrong.
    """
    if len(data) > NOTE_SIZE_MAX:
        raise _malformed(f"larger than {NOTE_SIZE_MAX} bytes")
    try:
        whole = data.decode("utf-8")
    except UnicodeDecodeError as err:
        raise _malformed("not UTF-8") from err
    head, gap, tail = whole.rpartition("\n\n")
    if not gap or not tail.endswith("\n"):
        raise _malformed("no blank line before signatures that end with a newline")
    text = head + "\n"
    _check_text(text)
    signatures = tuple(_read_line(line) for line in tail[:-1].split("\n"))
    if len(signatures) > SIGNATURES_MAX:
        raise _malformed(f"more than {SIGNATURES_MAX} signatures")
    return Note(text, signatures)


def open_note(data: bytes, keys: Iterable[VerifierKey], check: Check) -> Note:
    """Return the note with only those signatures that known keys really made.

    Signatures by unknown keys are ignored. Raises IntegrityError
    `note.signature` when a known key's signature is wrong and `note.unverified`
    when no known key signed.
    """
    note = parse(data)
    known = {(key.name, key.key_id): key for key in keys}
    good: dict[tuple[str, int], Signature] = {}
    for signature in note.signatures:
        place = (signature.name, signature.key_id)
        key = known.get(place)
        if key is None or place in good:
            continue
        if not check(key, note.text.encode(), signature.value):
            raise IntegrityError(
                f"the signature by {key.name} does not fit the text",
                code="note.signature",
                hint="the note or the key was changed; compare both with a copy kept elsewhere",
            )
        good[place] = signature
    if not good:
        names = ", ".join(sorted({s.name for s in note.signatures}))
        raise IntegrityError(
            f"none of the known keys signed; signatures are by {names}",
            code="note.unverified",
            hint="give the verifier key of the log that made it",
        )
    return Note(note.text, tuple(good.values()))


def _read_line(line: str) -> Signature:
    found = _LINE.fullmatch(line)
    if not found or not valid_name(found[1]):
        raise _malformed(f"{line[:80]!r} is not a signature line")
    raw = _decode64(found[2])
    if raw is None or len(raw) < 5:
        raise _malformed(f"the signature by {found[1]} is not base64 of a key hash and a signature")
    return Signature(found[1], int.from_bytes(raw[:4], "big"), raw[4:])


def _check_text(text: str) -> None:
    if not text.endswith("\n"):
        raise _malformed("the text does not end with a newline")
    if any(c < " " and c != "\n" for c in text):
        raise _malformed("the text holds a control character")


def _split_key(text: str) -> tuple[str, str, bytes]:
    name, _, rest = text.partition("+")
    hashed, _, body = rest.partition("+")
    data = _decode64(body)
    if not valid_name(name) or not re.fullmatch("[0-9a-f]{8}", hashed) or not data or len(data) < 2:
        raise InvalidError(
            "a key is written NAME+8 HEX DIGITS+BASE64",
            code="note.key",
            hint="e.g. example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        )
    return name, hashed, data


def _decode64(text: str) -> bytes | None:
    """Decode base64 strictly: the canonical spelling only, so that no byte of a
    note is slack.
    """
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if base64.b64encode(raw).decode() == text else None


def _malformed(reason: str) -> InvalidError:
    return InvalidError(f"not a signed note: {reason}", code="note.malformed")
