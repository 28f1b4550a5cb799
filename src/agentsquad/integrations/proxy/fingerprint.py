"""Fingerprint: which requests are the same, and where two of them differ.

The exact fingerprint is of all that determines the answer. The loose one leaves
out what an agent cannot say alike twice: times of day and random ids, in fields
made for them and inside of texts.
"""

from __future__ import annotations

import re
from typing import Any

from agentsquad.kernel import hashing
from agentsquad.kernel.pointer import diff, shown

# Fields that tell a vendor of a request and change no answer.
IDS = frozenset({"request_id", "idempotency_key", "user", "safety_identifier", "metadata",
                 "client_request_id", "prompt_cache_key"})  # fmt: skip
_TIME = re.compile(
    r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}([.,]\d{1,9})?)?( ?(Z|UTC|[+-]\d{2}:?\d{2}))?)?"
    r"|\b\d{2}:\d{2}:\d{2}([.,]\d{1,9})?\b"
)
_UUID = re.compile(r"\b[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b")
_EPOCH = re.compile(r"\b1[6-9]\d{8}(\d{3}|\d{6}|\.\d{1,9})?\b")


def exact(api: str, path: str, body: Any) -> str:
    """Return the digest of a request, without the fields that are ids."""
    return hashing.digest([api, path, bare(body)])


def loose(api: str, path: str, body: Any) -> str:
    """Return the digest of a request as it would be at any time."""
    return hashing.digest([api, path, timeless(bare(body))])


def bare(body: Any) -> Any:
    """Return a body without the fields that are ids."""
    if not isinstance(body, dict):
        return body
    return {key: value for key, value in body.items() if key not in IDS}


def timeless(value: Any) -> Any:
    """Return a value with times of day and random ids in its texts blanked."""
    if isinstance(value, str):
        return _EPOCH.sub("<time>", _TIME.sub("<time>", _UUID.sub("<id>", value)))
    if isinstance(value, dict):
        return {key: timeless(one) for key, one in value.items()}
    if isinstance(value, list):
        return [timeless(one) for one in value]
    return value


def first_difference(was: Any, now: Any) -> tuple[str, Any, Any]:
    """Return (JSON Pointer, recorded, asked) of the first place where two
    bodies differ for good."""
    for pointer, old, new in diff(timeless(bare(was)), timeless(bare(now))):
        return pointer or "/", shown(old), shown(new)
    return "/", None, None
