"""A security key in software: makes what a browser sends, by `cryptography`
alone, so that the library that checks it is not the one that made it."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def cbor(value: Any) -> bytes:
    """Just enough CBOR for attestation objects and COSE keys."""
    if isinstance(value, bool):
        raise TypeError
    if isinstance(value, int):
        return _head(0, value) if value >= 0 else _head(1, -1 - value)
    if isinstance(value, bytes):
        return _head(2, len(value)) + value
    if isinstance(value, str):
        return _head(3, len(value.encode())) + value.encode()
    if isinstance(value, dict):
        items = b"".join(cbor(k) + cbor(v) for k, v in value.items())
        return _head(5, len(value)) + items
    raise TypeError(type(value))


def _head(major: int, size: int) -> bytes:
    if size < 24:
        return bytes([major << 5 | size])
    if size < 256:
        return bytes([major << 5 | 24, size])
    return bytes([major << 5 | 25]) + size.to_bytes(2, "big")


class Authenticator:
    """One key for one site; counts its signatures."""

    def __init__(self, rp: str, origin: str, name: bytes = b"key-1234567890ab") -> None:
        self.rp, self.origin, self.name = rp, origin, name
        self.private = ec.generate_private_key(ec.SECP256R1())
        self.count = 0

    def _data(self, flags: int) -> bytes:
        return (
            hashlib.sha256(self.rp.encode()).digest()
            + bytes([flags])
            + self.count.to_bytes(4, "big")
        )

    def _client(self, kind: str, challenge: str) -> bytes:
        body = {"type": kind, "challenge": challenge.rstrip("="), "origin": self.origin}
        return json.dumps(body).encode()

    def make(self, options: Any) -> dict[str, Any]:
        """What `navigator.credentials.create` answers."""
        numbers = self.private.public_key().public_numbers()
        key = {
            1: 2,
            3: -7,
            -1: 1,
            -2: numbers.x.to_bytes(32, "big"),
            -3: numbers.y.to_bytes(32, "big"),
        }
        data = (
            self._data(0x45)
            + b"\0" * 16
            + len(self.name).to_bytes(2, "big")
            + self.name
            + cbor(key)
        )
        return {
            "id": b64(self.name),
            "rawId": b64(self.name),
            "type": "public-key",
            "response": {
                "clientDataJSON": b64(self._client("webauthn.create", options["challenge"])),
                "attestationObject": b64(cbor({"fmt": "none", "attStmt": {}, "authData": data})),
                "transports": ["usb"],
            },
        }

    def use(self, options: Any) -> dict[str, Any]:
        """What `navigator.credentials.get` answers."""
        self.count += 1
        data = self._data(0x05)
        client = self._client("webauthn.get", options["challenge"])
        signed = self.private.sign(
            data + hashlib.sha256(client).digest(), ec.ECDSA(hashes.SHA256())
        )
        return {
            "id": b64(self.name),
            "rawId": b64(self.name),
            "type": "public-key",
            "response": {
                "clientDataJSON": b64(client),
                "authenticatorData": b64(data),
                "signature": b64(signed),
            },
        }
