"""SigV4: AWS's request signature, as a pure function of the request, the keys
and the time.

Written here because it is sixty lines, and an SDK for it is twenty megabytes.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from urllib.parse import quote

import msgspec

from agentsquad.integrations.connectors.ai.bedrock.contract import AwsCredentials

ALGORITHM = "AWS4-HMAC-SHA256"
_UNRESERVED = "-_.~"


class Scope(msgspec.Struct, frozen=True):
    """What a signature is valid for; `at` is UTC as YYYYMMDD'T'HHMMSS'Z'."""

    at: str
    region: str
    service: str

    def __str__(self) -> str:
        return f"{self.at[:8]}/{self.region}/{self.service}/aws4_request"


class Signable(msgspec.Struct, frozen=True, kw_only=True):
    """What is signed. `path` is as sent; `query` holds decoded names and
    values.
    """

    method: str
    path: str
    query: Sequence[tuple[str, str]] = ()
    headers: Mapping[str, str]
    body: bytes = b""


def sign(request: Signable, credentials: AwsCredentials, scope: Scope) -> dict[str, str]:
    """Return the headers to add: `x-amz-date`, `authorization` and, if any, the
    session token.
    """
    added = {"x-amz-date": scope.at}
    if credentials.session_token is not None:
        added["x-amz-security-token"] = credentials.session_token.reveal()
    signed = msgspec.structs.replace(request, headers={**request.headers, **added})
    canonical, names = canonical_request(signed)
    text = "\n".join(
        (ALGORITHM, scope.at, str(scope), hashlib.sha256(canonical.encode()).hexdigest())
    )
    key = f"AWS4{credentials.secret_access_key.reveal()}".encode()
    for part in (scope.at[:8], scope.region, scope.service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    added["authorization"] = (
        f"{ALGORITHM} Credential={credentials.access_key_id}/{scope}, "
        f"SignedHeaders={names}, Signature={signature}"
    )
    return added


def canonical_request(request: Signable) -> tuple[str, str]:
    """Return the text that both sides hash, and the list of header names in
    it.
    """
    headers = sorted(
        (name.lower(), re.sub(r" +", " ", value.strip())) for name, value in request.headers.items()
    )
    names = ";".join(name for name, _ in headers)
    query = sorted((_encode(name), _encode(value)) for name, value in request.query)
    lines = (
        request.method,
        canonical_path(request.path),
        "&".join(f"{name}={value}" for name, value in query),
        *(f"{name}:{value}" for name, value in headers),
        "",
        names,
        hashlib.sha256(request.body).hexdigest(),
    )
    return "\n".join(lines), names


def canonical_path(path: str) -> str:
    """Resolve `.`, `..` and empty segments, then encode once more what is sent
    encoded already.
    """
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in ("", "."):
            kept.append(segment)
    ending = "/" if path.endswith(("/", "/.", "/..")) and kept else ""
    return "/" + "/".join(_encode(segment) for segment in kept) + ending


def _encode(text: str) -> str:
    return quote(text, safe=_UNRESERVED)
