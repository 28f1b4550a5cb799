"""Codes that change with time, by `pyotp`."""

from __future__ import annotations

import pyotp

from agentsquad.trust.identity.totp import DIGITS, STEP_MS


class PyotpCodes:
    """RFC 6238 with SHA-1, six digits and 30 seconds: what authenticator apps
    know."""

    def secret(self) -> str:
        """Return a new secret of 160 bits, base32."""
        return pyotp.random_base32(32)

    def code(self, secret: str, step: int) -> str:
        """Return the code of one time step."""
        return pyotp.HOTP(secret, digits=DIGITS).at(step)

    def uri(self, secret: str, account: str, issuer: str) -> str:
        """Return what an authenticator app reads from a QR code."""
        made = pyotp.TOTP(secret, digits=DIGITS, interval=STEP_MS // 1000)
        return made.provisioning_uri(name=account, issuer_name=issuer)
