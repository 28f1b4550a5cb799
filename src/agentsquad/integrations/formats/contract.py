"""What others may know of the formats: findings, ports and errors."""

from __future__ import annotations

from typing import Any, Literal, Protocol

import msgspec

from agentsquad.kernel.errors import InvalidError, LimitError, MissingError

Level = Literal["file", "interchange", "group", "transaction", "segment", "element"]


class Finding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that is wrong in an interchange, or worth knowing about it.

    `code` is the X12 acknowledgement code of its level: TA105 (three digits)
    for interchanges, AK905 for groups, AK502 for transaction sets, AK304 for
    segments, AK403 for elements; "" for what X12 has no code for. `position`
    counts segments from 1, inside the transaction set (ST is 1) for the levels
    transaction, segment and element, inside the interchange (ISA is 1)
    otherwise; see `counted_in`. `interchange`, `group` and `transaction` count
    from 1, 0 where they do not apply.
    """

    segment: str = ""
    position: int = 0
    element: int | None = None
    code: str = ""
    message: str
    level: Level
    counted_in: Literal["interchange", "transaction"] = "transaction"
    component: int | None = None
    repetition: int | None = None
    value: str | None = None
    reference: str | None = None
    loop: str | None = None
    interchange: int = 0
    group: int = 0
    transaction: int = 0
    control: str | None = None
    warning: bool = False

    def public(self) -> dict[str, Any]:
        """Return the object users see: the five fields always, the others when
        they say something.
        """
        known: dict[str, Any] = msgspec.to_builtins(self)
        head = {
            "segment": self.segment,
            "position": self.position,
            "element": self.element,
            "code": self.code,
            "message": self.message,
        }
        return head | {k: v for k, v in known.items() if k not in head and k != "warning"}


class FileReader(Protocol):
    """Reads files the user names."""

    def read(self, path: str, limit: int) -> bytes:
        """Return the bytes of a file of at most `limit` bytes.

        Raises FileUnreadableError if it is not there or not readable,
        FileTooLargeError if larger.
        """
        ...


class FileUnreadableError(MissingError):
    """The file cannot be read."""

    code = "edi.file"


class FileTooLargeError(LimitError):
    """The file is larger than this action reads."""

    code = "edi.file_size"


class X12ValueError(InvalidError):
    """A value cannot be written as X12."""

    code = "x12.value"


class X12ReadError(InvalidError):
    """The bytes do not hold what was asked for."""

    code = "x12.read"
