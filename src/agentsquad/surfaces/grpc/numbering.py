"""Field numbers: given once, kept for ever.

`fields.json` beside this file holds the number of every field of every message.
A field that goes keeps its number, so that no other ever gets it; a new one
gets the next. `tools/grpc_fields.py` writes the file, a test compares.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.resources import files

import msgspec

LOCK = "fields.json"
Numbers = dict[str, dict[str, int]]
# Numbers 19,000 to 19,999 belong to protobuf itself.
RESERVED = range(19_000, 20_000)


def locked() -> Numbers:
    """Return the numbers that were given."""
    text = files(__package__).joinpath(LOCK).read_bytes()
    return msgspec.json.decode(text, type=Numbers)


def numbered(
    given: Mapping[str, Mapping[str, int]], wanted: Mapping[str, Iterable[str]]
) -> Numbers:
    """Return the numbers with those of new fields; none that was given
    changes or goes."""
    found: Numbers = {name: dict(fields) for name, fields in given.items()}
    for message, fields in wanted.items():
        numbers = found.setdefault(message, {})
        for field in fields:
            if field not in numbers:
                number = max(numbers.values(), default=0) + 1
                numbers[field] = number if number not in RESERVED else RESERVED.stop
    return found


def written(numbers: Numbers) -> bytes:
    """Return the lock file, a message a line, in the order of names."""
    lines = [
        f"{msgspec.json.encode(name).decode()}: {msgspec.json.encode(fields).decode()}"
        for name, fields in sorted(numbers.items())
    ]
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode()
