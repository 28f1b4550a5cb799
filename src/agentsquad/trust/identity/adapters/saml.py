"""SAML 2.0 as a service provider, by `pysaml2` and `xmlsec1`.

Requests are signed and answers must answer one of ours: signed, for us, for
now, and encrypted unless the provider's settings say otherwise. The key pair
for both lies in the home and is made when it is first needed.
"""

from __future__ import annotations

import base64
import datetime
import os
import shutil
import warnings
from pathlib import Path
from typing import Any

from agentsquad.kernel.errors import UnsupportedError
from agentsquad.trust.identity.contract import ProviderError, SignInFailedError, Vouched
from agentsquad.trust.identity.provider import Saml

KEY_FILE = "saml.key"
CERTIFICATE_FILE = "saml.crt"
SIZE_MAX = 500_000
YEARS = 10
WEAK = "http://www.w3.org/2001/04/xmlenc#rsa-1_5"
_METHOD = "{http://www.w3.org/2001/04/xmlenc#}EncryptionMethod"
_ASSERTION = "{urn:oasis:names:tc:SAML:2.0:assertion}"

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it names ciphers that cryptography has moved
    from defusedxml import ElementTree  # type: ignore[import-untyped]
    from saml2 import BINDING_HTTP_POST, BINDING_HTTP_REDIRECT  # type: ignore[import-untyped]
    from saml2.client import Saml2Client  # type: ignore[import-untyped]
    from saml2.config import SPConfig  # type: ignore[import-untyped]
    from saml2.metadata import entity_descriptor  # type: ignore[import-untyped]
    from saml2.response import AuthnResponse, SAMLError  # type: ignore[import-untyped]


class PysamlLogin:
    """A service provider for each provider and address."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._clients: dict[tuple[str, str, Saml, int], Any] = {}

    def location(self, name: str, saml: Saml, place: str, relay: str) -> tuple[str, str]:
        """Return where to send the browser, and the id of the request."""
        client = self._client(name, saml, place)
        (entity,) = self._entities(client)
        asked, sent = client.prepare_for_authenticate(
            entityid=entity, relay_state=relay, binding=BINDING_HTTP_REDIRECT
        )
        return next(value for key, value in sent["headers"] if key == "Location"), str(asked)

    def vouched(self, name: str, saml: Saml, place: str, answer: str, asked: str) -> Vouched:
        """Return who a SAMLResponse to a request is about, checked."""
        client = self._client(name, saml, place)
        if len(answer) > SIZE_MAX:
            raise SignInFailedError("the provider's answer is too long")
        _refuse_weak(answer)
        if saml.encrypted:
            _refuse_open(answer)
        try:
            found = client.parse_authn_request_response(
                answer, BINDING_HTTP_POST, outstanding={asked: place}
            )
        # pysaml2 raises classes of its own, of its parts and of Python for what
        # an answer can have wrong.
        except Exception as error:
            raise SignInFailedError(
                "the provider's answer is not good", private=repr(error)
            ) from error
        if not isinstance(found, AuthnResponse) or found.in_response_to != asked:
            raise SignInFailedError("the provider's answer is not good")
        if found.name_id is None or not found.name_id.text:
            raise SignInFailedError("the provider's answer names nobody")
        facts = {key: [str(one) for one in values] for key, values in found.ava.items()}
        facts = {**facts, "amr": [], "acr": [str(told[0]) for told in found.authn_info()]}
        return Vouched(subject=str(found.name_id.text), facts=facts)

    def metadata(self, name: str, saml: Saml, place: str) -> str:
        """Return our metadata, XML."""
        with _quiet():
            return str(entity_descriptor(self._config(name, saml, place)))

    def _client(self, name: str, saml: Saml, place: str) -> Any:
        try:
            changed = os.stat(saml.metadata_file).st_mtime_ns
        except OSError as error:
            raise ProviderError(
                f"{saml.metadata_file}: {error.strerror}", hint="put the provider's metadata there"
            ) from error
        key = (name, place, saml, changed)
        if key not in self._clients:
            with _quiet():
                self._clients[key] = Saml2Client(config=self._config(name, saml, place))
        return self._clients[key]

    def _entities(self, client: Any) -> list[str]:
        known = list(client.metadata.with_descriptor("idpsso"))
        if len(known) != 1:
            raise ProviderError(f"its metadata names {len(known)} identity providers, not one")
        return known

    def _config(self, name: str, saml: Saml, place: str) -> Any:
        program = shutil.which("xmlsec1")
        if program is None:
            raise UnsupportedError("SAML needs the program xmlsec1", hint="apt-get install xmlsec1")
        key, certificate = self._pair()
        pair = {"key_file": key, "cert_file": certificate}
        service = {
            "endpoints": {"assertion_consumer_service": [(place, BINDING_HTTP_POST)]},
            "allow_unsolicited": False,
            "authn_requests_signed": True,
            "want_assertions_signed": True,
            "want_response_signed": False,
        }
        config = SPConfig()
        try:
            config.load(
                {
                    "entityid": saml.entity_id or place.removesuffix("/callback") + "/metadata",
                    "xmlsec_binary": program,
                    "metadata": {"local": [saml.metadata_file]},
                    "allow_unknown_attributes": True,
                    "accepted_time_diff": 60,
                    "service": {"sp": service},
                    "encryption_keypairs": [pair],
                    **pair,
                }
            )
        except (SAMLError, ValueError, KeyError, SyntaxError) as error:
            raise ProviderError(
                f"{saml.metadata_file} is not SAML metadata", private=repr(error)
            ) from error
        return config

    def _pair(self) -> tuple[str, str]:
        """Return the files of the key and its certificate.

        Of two processes that make a key at the same time one is first, and both
        certify that one.
        """
        key, certificate = self._folder / KEY_FILE, self._folder / CERTIFICATE_FILE
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not key.exists():
            draft = _written(key, _new_key())
            try:
                os.link(draft, key)
            except FileExistsError:
                pass
            finally:
                draft.unlink()
        if not certificate.exists():
            _written(certificate, _certified(key.read_bytes())).replace(certificate)
        return str(key), str(certificate)


def _written(path: Path, data: bytes) -> Path:
    """Write data beside a path, so that it can be put there at once."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return draft


def _new_key() -> bytes:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    return rsa.generate_private_key(public_exponent=65537, key_size=3072).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )


def _certified(secret: bytes) -> bytes:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.x509.oid import NameOID

    key = serialization.load_pem_private_key(secret, None)
    assert isinstance(key, RSAPrivateKey)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Agent Squad SAML")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=365 * YEARS))
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM)


def _refuse_weak(answer: str) -> None:
    """Refuse an answer that is encrypted in a way that gives itself away to
    whoever may try often enough (PKCS #1 v1.5)."""
    if any(part.get("Algorithm", "").strip() == WEAK for part in _read(answer).iter(_METHOD)):
        raise SignInFailedError(
            "the provider's answer is not encrypted well enough",
            private=f"{WEAK}; have the provider encrypt keys by RSA-OAEP",
        )


def _read(answer: str) -> Any:
    try:
        return ElementTree.fromstring(base64.b64decode(answer))
    except Exception as error:
        raise SignInFailedError("the provider's answer is not good", private=repr(error)) from error


def _refuse_open(answer: str) -> None:
    """Refuse an answer whose assertion anybody on the way could read."""
    root = _read(answer)
    if root.find(f"{_ASSERTION}Assertion") is not None:
        raise SignInFailedError("the provider's answer is not encrypted")
    if root.find(f"{_ASSERTION}EncryptedAssertion") is None:
        raise SignInFailedError("the provider's answer names nobody")


def _quiet() -> Any:
    return warnings.catch_warnings(action="ignore")
