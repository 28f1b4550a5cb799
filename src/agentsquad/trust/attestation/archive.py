"""The one byte form of a case: a ZIP archive with nothing left to choose.

No compression, no dates, no extra fields, members in the order given. So the
same content always gives the same bytes, and a verifier that writes the archive
again finds any byte that carries no content but differs.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

from agentsquad.kernel.errors import LimitError

MEMBERS_MAX = 0xFFFE
SIZE_MAX = 0xFFFF_FFFE

_DATE = 0x0021  # 1980-01-01, the earliest a ZIP can say
_MODE = 0o100644 << 16


def pack(members: Sequence[tuple[str, bytes]]) -> bytes:
    """Return the archive of (ASCII name, content) in this order.

    LimitError `case.size` when it would not fit the plain ZIP format.
    """
    if len(members) > MEMBERS_MAX or sum(len(data) for _, data in members) > SIZE_MAX:
        raise LimitError(
            f"a case holds at most {MEMBERS_MAX} members and 4 GiB",
            code="case.size",
            hint="prove single events instead of the whole run",
        )
    body, directory, offset = [], [], 0
    for name, data in members:
        plain = name.encode("ascii")
        entry = struct.pack(
            "<5H3L2H", 20, 0, 0, 0, _DATE, zlib.crc32(data), len(data), len(data), len(plain), 0
        )
        body += [b"PK\x03\x04", entry, plain, data]
        directory.append(
            struct.pack("<4sH", b"PK\x01\x02", 0x0314)
            + entry
            + struct.pack("<3H2L", 0, 0, 0, _MODE, offset)
            + plain
        )
        offset += 30 + len(plain) + len(data)
    index = b"".join(directory)
    count = len(members)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, count, count, len(index), offset, 0)
    return b"".join(body) + index + end
