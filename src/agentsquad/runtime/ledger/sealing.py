"""Sealing: personal values leave the payload before it is hashed and stored.

Each becomes {"$sealed": {subject, commitment, box}}: a commitment with a salt
of its own, and the value with that salt encrypted under the subject's key. The
payload digest covers the box, so proofs hold whether the box can be opened or
not; once the key is gone the value reads {"$erased": …}.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

from agentsquad.kernel import canonical, hashing, pointer
from agentsquad.kernel.errors import MissingError
from agentsquad.runtime.ledger.contract import DamagedError, EventInvalidError

SEALED = "$sealed"
ERASED = "$erased"
SALT_SIZE = 16
MARK = b'{"$sealed":'


def seal(
    payload: Any,
    personal: Mapping[str, str],
    encrypt: Callable[[str, bytes], bytes],
    token: Callable[[int], bytes],
) -> Any:
    """Return the payload with each value named by `personal` (pointer to
    subject) sealed.

    Raises EventInvalidError when a pointer names nothing or two overlap.
    """
    pointers = sorted(personal)
    for outer, inner in pairwise(pointers):
        if inner.startswith(outer + "/"):
            raise EventInvalidError(
                f"personal fields {outer!r} and {inner!r} overlap",
                hint="name the outer one only",
            )
    for at in pointers:
        subject = personal[at]
        if not at or not isinstance(subject, str) or not subject:
            raise EventInvalidError(
                f"personal field {at!r} of subject {subject!r} is not a pointer to a subject",
                hint='map pointers into the payload to subjects, e.g. {"/contact": "person:4711"}',
            )
        try:
            value = pointer.get(payload, at)
        except MissingError as error:
            raise EventInvalidError(
                f"personal field {at!r} is not in the payload", hint=error.hint
            ) from None
        salt = token(SALT_SIZE)
        commitment = hashing.commit(salt, canonical.dumps(value))
        inside = canonical.dumps({"salt": _text(salt), "value": value})
        box = _text(encrypt(subject, inside))
        sealed = {"subject": subject, "commitment": commitment, "box": box}
        payload = pointer.put(payload, at, {SEALED: sealed})
    return payload


def unseal(value: Any, decrypt: Callable[[str, bytes], bytes | None]) -> Any:
    """Return a stored payload with every box opened whose key exists, the
    others erased.
    """
    if isinstance(value, dict):
        sealed = value.get(SEALED)
        if len(value) == 1 and isinstance(sealed, dict):
            return open_box(sealed, decrypt)
        return {name: unseal(item, decrypt) for name, item in value.items()}
    if isinstance(value, list):
        return [unseal(item, decrypt) for item in value]
    return value


def open_box(sealed: Mapping[str, Any], decrypt: Callable[[str, bytes], bytes | None]) -> Any:
    """Return the value inside a seal, or {"$erased": commitment} when its key
    is gone.

    Raises DamagedError when the box opens but does not hold what was committed
    to.
    """
    try:
        subject, commitment = sealed["subject"], sealed["commitment"]
        box = base64.b64decode(sealed["box"], validate=True)
    except (KeyError, TypeError, ValueError):
        raise DamagedError("a sealed value is not readable") from None
    inside = decrypt(subject, box)
    if inside is None:
        return {ERASED: commitment}
    content = canonical.loads(inside)
    value = content["value"]
    salt = base64.b64decode(content["salt"])
    if hashing.commit(salt, canonical.dumps(value)) != commitment:
        raise DamagedError(f"a sealed value of {subject!r} is not what was committed to")
    return value


def subjects(value: Any) -> set[str]:
    """Return the subjects of every seal in a stored payload."""
    if isinstance(value, dict):
        sealed = value.get(SEALED)
        if len(value) == 1 and isinstance(sealed, dict):
            return {str(sealed.get("subject"))}
        return set().union(*(subjects(item) for item in value.values()))
    if isinstance(value, list):
        return set().union(*(subjects(item) for item in value))
    return set()


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
