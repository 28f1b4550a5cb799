"""Failure: what a provider's error status, code and body mean, as one of our
errors.

One table for all providers, so that a caller handles "slow down" once. Vendor
text is kept, since it names the mistake best, but cut short and without any
secret that we sent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from agentsquad.integrations.connectors.ai.contract import (
    ModelAuthenticationError,
    ModelDeniedError,
    ModelLimitError,
    ModelMissingError,
    ModelQuotaError,
    ModelRefusedError,
    ModelUnavailableError,
    Secret,
)
from agentsquad.kernel.errors import SquadError

TEXT_MAX = 400

_BY_STATUS: dict[int, type[SquadError]] = {
    401: ModelAuthenticationError,
    402: ModelQuotaError,
    403: ModelDeniedError,
    404: ModelMissingError,
    408: ModelUnavailableError,
    409: ModelUnavailableError,
    424: ModelUnavailableError,
    425: ModelUnavailableError,
    429: ModelLimitError,
}

# Vendor codes that say more than the status, or come without one (mid-stream).
_BY_CODE: dict[str, type[SquadError]] = {
    "insufficient_quota": ModelQuotaError,
    "billing_hard_limit_reached": ModelQuotaError,
    "billing_error": ModelQuotaError,
    "invalid_api_key": ModelAuthenticationError,
    "authentication_error": ModelAuthenticationError,
    "unrecognizedclientexception": ModelAuthenticationError,
    "invalidsignatureexception": ModelAuthenticationError,
    "incompletesignatureexception": ModelAuthenticationError,
    "missingauthenticationtokenexception": ModelAuthenticationError,
    "expiredtokenexception": ModelAuthenticationError,
    "permission_error": ModelDeniedError,
    "accessdeniedexception": ModelDeniedError,
    "not_found_error": ModelMissingError,
    "model_not_found": ModelMissingError,
    "resourcenotfoundexception": ModelMissingError,
    "rate_limit_error": ModelLimitError,
    "rate_limit_exceeded": ModelLimitError,
    "throttlingexception": ModelLimitError,
    "overloaded_error": ModelUnavailableError,
    "api_error": ModelUnavailableError,
    "server_error": ModelUnavailableError,
    "timeout_error": ModelUnavailableError,
    "modelnotreadyexception": ModelUnavailableError,
    "modeltimeoutexception": ModelUnavailableError,
    "modelerrorexception": ModelUnavailableError,
    "modelstreamerrorexception": ModelUnavailableError,
    "internalserverexception": ModelUnavailableError,
    "serviceunavailableexception": ModelUnavailableError,
    "invalid_request_error": ModelRefusedError,
    "request_too_large": ModelRefusedError,
    "validationexception": ModelRefusedError,
    "context_length_exceeded": ModelRefusedError,
}

# Types a vendor prints on every refusal; the status beside them says more.
_VAGUE = frozenset({"invalid_request_error", "api_error", "server_error"})

_HINTS: dict[type[SquadError], str] = {
    ModelAuthenticationError: "check the variable named under 'authentication'",
    ModelDeniedError: "ask the account's owner for access to this model",
    ModelQuotaError: "add credit to the account, or use another provider",
    ModelMissingError: "check the model's name and the endpoint; see 'squad models list'",
    ModelRefusedError: "the request itself must change; sending it again cannot help",
    ModelLimitError: "lower 'rateLimits' of the provider to what the account allows",
}


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider said when it said no; `status` is None in mid-stream."""

    provider: str
    status: int | None = None
    headers: Mapping[str, str] = {}
    body: bytes = b""
    code: str | None = None
    message: str | None = None


def error_of(failure: Failure, *, now_ms: int, secrets: Sequence[Secret] = ()) -> SquadError:
    """Return the error to raise; `now_ms` turns a date in Retry-After into a
    wait.
    """
    found_code, found_message = _read_body(failure)
    code = failure.code or found_code
    message = failure.message or found_message
    cls = classify(failure.status, code)
    said = scrub(message, secrets) if message else "no reason given"
    how = f"answered {failure.status}" if failure.status is not None else "failed in mid-stream"
    details: dict[str, Any] = {"provider": failure.provider}
    if failure.status is not None:
        details["status"] = failure.status
    if code:
        details["vendor_code"] = scrub(code, secrets)
    return cls(
        f"{failure.provider} {how}: {said}",
        hint=_HINTS.get(cls),
        details=details,
        retry_after_ms=retry_after_ms(failure.headers, now_ms),
    )


def classify(status: int | None, code: str | None) -> type[SquadError]:
    """Return the error class for an HTTP status, a vendor code, or both."""
    key = (code or "").lower()
    if key in _BY_CODE and not (key in _VAGUE and status is not None):
        return _BY_CODE[key]
    if status is None:
        return ModelUnavailableError
    if status >= 500:
        return ModelUnavailableError
    return _BY_STATUS.get(status, ModelRefusedError)


def retry_after_ms(headers: Mapping[str, str], now_ms: int) -> int | None:
    """Read `retry-after-ms` and `retry-after` (seconds or a date); None when
    neither is there.
    """
    exact = _number(headers.get("retry-after-ms"))
    if exact is not None:
        return int(exact)
    text = headers.get("retry-after")
    if text is None:
        return None
    seconds = _number(text)
    if seconds is not None:
        return int(seconds * 1000)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0, int(moment.timestamp() * 1000) - now_ms)


def scrub(text: str, secrets: Sequence[Secret] = ()) -> str:
    """Return text fit for a person: one line, short, and none of our secrets in
    it.
    """
    for secret in secrets:
        value = secret.reveal()
        for part in (value, value.rpartition(" ")[2]):
            if part:
                text = text.replace(part, "…")
    text = re.sub(r"\b(sk|key|AKIA|ASIA)[-_A-Za-z0-9*]{12,}", "…", text)
    text = " ".join(text.split())
    return text if len(text) <= TEXT_MAX else text[: TEXT_MAX - 1] + "…"


def _number(text: str | None) -> float | None:
    try:
        number = float(text) if text is not None else None
    except ValueError:
        return None
    return number if number is not None and 0 <= number < 10**9 else None


def _read_body(failure: Failure) -> tuple[str | None, str | None]:
    """Find code and message in the shapes the providers use."""
    header = failure.headers.get("x-amzn-errortype", "").partition(":")[0] or None
    try:
        body = msgspec.json.decode(failure.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return header, failure.body.decode("utf-8", "replace")[: TEXT_MAX * 4] or None
    if not isinstance(body, dict):
        return header, None
    inner = body.get("error")
    if isinstance(inner, str):
        return header, inner
    found = inner if isinstance(inner, dict) else body
    code = found.get("code") if isinstance(found.get("code"), str) else None
    kind = found.get("type") or found.get("__type")
    message = found.get("message") or found.get("Message") or found.get("detail")
    name = header or code or (str(kind).rpartition("#")[2] if kind else None)
    return name, message if isinstance(message, str) else None
