"""Security keys and passkeys, by `webauthn`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

import webauthn
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    AuthenticatorTransport,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from agentsquad.trust.identity.contract import FactorError, Party, Passkey

TIMEOUT_MS = 300_000


class WebauthnKeys:
    """Registration and assertion as W3C WebAuthn Level 3 says."""

    def registration(
        self, party: Party, account: str, challenge: bytes, known: Sequence[Passkey]
    ) -> Mapping[str, Any]:
        """Return the options with which a browser makes a key."""
        options = webauthn.generate_registration_options(
            rp_id=party.id,
            rp_name=party.name,
            user_name=account.partition(":")[2],
            user_id=account.encode(),
            challenge=challenge,
            timeout=TIMEOUT_MS,
            exclude_credentials=_described(known),
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.PREFERRED,
                user_verification=UserVerificationRequirement.PREFERRED,
            ),
        )
        return _json(webauthn.options_to_json(options))

    def registered(self, party: Party, challenge: bytes, response: Mapping[str, Any]) -> Passkey:
        """Return the key that was made."""
        try:
            made = webauthn.verify_registration_response(
                credential=dict(response),
                expected_challenge=challenge,
                expected_rp_id=party.id,
                expected_origin=list(party.origins),
                require_user_verification=False,
            )
        except (WebAuthnException, ValueError, TypeError, KeyError, AttributeError) as error:
            raise FactorError(
                "the security key's answer is not good", hint="try again", private=repr(error)
            ) from error
        return Passkey(
            id=bytes_to_base64url(made.credential_id),
            public_key=bytes_to_base64url(made.credential_public_key),
            count=made.sign_count,
            transports=_transports(response),
        )

    def assertion(
        self, party: Party, challenge: bytes, known: Sequence[Passkey]
    ) -> Mapping[str, Any]:
        """Return the options with which a browser uses a key."""
        options = webauthn.generate_authentication_options(
            rp_id=party.id,
            challenge=challenge,
            timeout=TIMEOUT_MS,
            allow_credentials=_described(known),
            user_verification=UserVerificationRequirement.PREFERRED,
        )
        return _json(webauthn.options_to_json(options))

    def asserted(
        self, party: Party, challenge: bytes, response: Mapping[str, Any], known: Sequence[Passkey]
    ) -> Passkey | None:
        """Return the key that was used, with its new counter."""
        named = response.get("id") if isinstance(response, Mapping) else None
        held = next((one for one in known if one.id == named), None)
        if held is None:
            return None
        try:
            used = webauthn.verify_authentication_response(
                credential=dict(response),
                expected_challenge=challenge,
                expected_rp_id=party.id,
                expected_origin=list(party.origins),
                credential_public_key=base64url_to_bytes(held.public_key),
                credential_current_sign_count=held.count,
                require_user_verification=False,
            )
        except (WebAuthnException, ValueError, TypeError, KeyError, AttributeError):
            return None
        return Passkey(
            id=held.id,
            public_key=held.public_key,
            count=used.new_sign_count,
            transports=held.transports,
        )


def _described(known: Sequence[Passkey]) -> list[PublicKeyCredentialDescriptor]:
    return [
        PublicKeyCredentialDescriptor(
            id=base64url_to_bytes(one.id),
            transports=[AuthenticatorTransport(name) for name in one.transports] or None,
        )
        for one in known
    ]


def _transports(response: Mapping[str, Any]) -> tuple[str, ...]:
    inner = response.get("response")
    named = inner.get("transports") if isinstance(inner, Mapping) else None
    known = {one.value for one in AuthenticatorTransport}
    return tuple(one for one in named if one in known) if isinstance(named, list) else ()


def _json(text: str) -> Mapping[str, Any]:
    return cast(Mapping[str, Any], json.loads(text))
