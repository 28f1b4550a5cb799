"""Access tokens as JWT (RFC 9068) signed with Ed25519 (RFC 9864), by
`joserfc`."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

ALGORITHM = "Ed25519"
TYPE = "at+jwt"
_REGISTRY = jws.JWSRegistry(algorithms=[ALGORITHM])


class Ed25519Tokens:
    """Signs with one algorithm and accepts no other."""

    def generate(self) -> tuple[bytes, str]:
        """Return the secret half of a new key, and the public one."""
        made = OKPKey.generate_key("Ed25519").as_dict(private=True)
        return base64.urlsafe_b64decode(str(made["d"]) + "="), str(made["x"])

    def sign(self, secret: bytes, kid: str, claims: Mapping[str, Any], type: str = TYPE) -> str:
        """Return a signed token; one of another type is no access token."""
        header = {"alg": ALGORITHM, "typ": type, "kid": kid}
        return jwt.encode(header, dict(claims), _private(secret), registry=_REGISTRY)

    def claims(self, token: str, keys: Mapping[str, str]) -> Mapping[str, Any] | None:
        """Return what a token says if one of these keys signed it."""
        signature = token.rpartition(".")[2]
        try:
            if _b64(base64.urlsafe_b64decode(signature + "==")) != signature:
                return None  # the last letter holds bits that nothing checks
            header = jws.extract_compact(token.encode()).headers()
            public = keys.get(str(header.get("kid")))
            if public is None or header.get("typ") != TYPE or header.get("alg") != ALGORITHM:
                return None
            return jwt.decode(token, _public(public), registry=_REGISTRY).claims
        except (JoseError, ValueError, TypeError, KeyError):
            return None


@lru_cache(maxsize=16)
def _private(secret: bytes) -> OKPKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    public = Ed25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()
    return OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": _b64(public), "d": _b64(secret)})


@lru_cache(maxsize=64)
def _public(x: str) -> OKPKey:
    return OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": x})


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
