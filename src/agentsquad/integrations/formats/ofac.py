"""OFAC: the specially designated nationals list in its published CSV layout.

Three files without header rows belong together by entity number: `sdn` (the
entities), `add` (addresses) and `alt` (other names). `-0-` means null. Reading
is strict about rows, since a row skipped in silence is a name not screened,
and tolerant about what varies: UTF-8 or Latin-1, line ends, and the 0x1A that
ends some of the published files. Pure: bytes in, values out.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from agentsquad.kernel.errors import InvalidError
from agentsquad.kernel.hashing import digest_bytes

_COLUMNS = {"sdn": 12, "add": 6, "alt": 5}
_PROBLEMS_MAX = 50
_NULL = "-0-"
_KINDS = {None: "entity", "individual": "individual", "vessel": "vessel", "aircraft": "aircraft"}
_ALIAS_KINDS = ("aka", "fka", "nka")
_REMARK_ALIAS = re.compile(r"\b([afn])\.k\.a\. '([^']+)'")


class RowProblem(msgspec.Struct, frozen=True):
    """What is wrong with one row; lines count from 1."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


class OfacInvalidError(InvalidError):
    """A sanctions file has rows that cannot be read."""

    code = "ofac.row"

    def __init__(self, problems: Sequence[RowProblem]) -> None:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        super().__init__(
            f"{problems[0]}{more}",
            hint="the list is not used unless every row is read: download it again, "
            "or correct the rows in details.problems",
            details={"problems": msgspec.to_builtins(problems)},
        )
        self.problems = tuple(problems)


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Where a listed party is; any part may be unknown."""

    street: str | None = None
    city: str | None = None
    country: str | None = None
    remarks: str | None = None


class Alias(msgspec.Struct, frozen=True, kw_only=True):
    """Another name: aka, fka (formerly) or nka (now).

    `weak` names stand only in the remarks; OFAC means them as hints.
    """

    name: str
    kind: str = "aka"
    weak: bool = False


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One listed party; `kind` is entity, individual, vessel or aircraft.

    `orphan` entries are known only from the file of other names.
    """

    id: int
    name: str
    kind: str
    programs: tuple[str, ...] = ()
    title: str | None = None
    flag: str | None = None
    remarks: str | None = None
    addresses: tuple[Address, ...] = ()
    aliases: tuple[Alias, ...] = ()
    orphan: bool = False


class SanctionsList(msgspec.Struct, frozen=True, kw_only=True):
    """All listed parties, and the digest of the files they were read from."""

    entries: tuple[Entry, ...]
    digest: str

    @property
    def orphans(self) -> int:
        """How many parties have names but no entity row."""
        return sum(entry.orphan for entry in self.entries)


class _Row(msgspec.Struct, frozen=True):
    line: int
    id: int
    cells: list[str | None]


def read_list(files: Mapping[str, bytes]) -> SanctionsList:
    """Read files by their names: `sdn….csv`, `add….csv`, `alt….csv`.

    Any of them may be there several times or not at all; the same row twice
    counts once. Raises OfacInvalidError with every bad row.
    """
    problems: list[RowProblem] = []
    rows: dict[str, list[tuple[str, _Row]]] = {part: [] for part in _COLUMNS}
    for name in sorted(files):
        part = part_of(name)
        if part is None:
            problems.append(RowProblem(name, 1, "expected a name like sdn.csv, add.csv, alt.csv"))
            continue
        rows[part] += ((name, row) for row in _rows(files[name], name, part, problems))
    entries = _entities(rows["sdn"], problems)
    addresses = _addresses(rows["add"])
    aliases = _aliases(rows["alt"], problems)
    if not problems and not entries and not aliases:
        problems.append(RowProblem(", ".join(sorted(files)) or "sdn.csv", 1, "no names in it"))
    if problems:
        raise OfacInvalidError(problems[:_PROBLEMS_MAX])
    for id, names in aliases.items():
        if id not in entries:
            entries[id] = Entry(id=id, name=names[0].name, kind="entity", orphan=True)
            names = names[1:]
        entry = entries[id]
        entries[id] = msgspec.structs.replace(entry, aliases=(*names, *entry.aliases))
    return SanctionsList(
        entries=tuple(
            msgspec.structs.replace(entry, addresses=tuple(addresses.get(id, ())))
            for id, entry in sorted(entries.items())
        ),
        digest=digest_bytes(
            b"\n".join(digest_bytes(files[name]).encode() for name in sorted(files))
        ),
    )


def part_of(name: str) -> str | None:
    """Return sdn, add or alt for a file's name, or None."""
    stem = name.replace("\\", "/").rpartition("/")[2].casefold()
    return stem[:3] if stem[:3] in _COLUMNS and stem.endswith(".csv") else None


def decode(data: bytes) -> str:
    """Return the text: UTF-8 if it is, else Latin-1; no BOM, no final 0x1A."""
    data = data.removeprefix(b"\xef\xbb\xbf").rstrip(b"\x1a\r\n \t")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _rows(data: bytes, file: str, part: str, problems: list[RowProblem]) -> Iterator[_Row]:
    reader = csv.reader(io.StringIO(decode(data), newline=""), strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            problems.append(RowProblem(file, line, f"not CSV: {error}"))
            return  # where the next row begins is anybody's guess
        if not any(cell.strip() for cell in cells):
            continue
        found = [_cell(cell) for cell in cells]
        message = _refusal(found, part)
        if message:
            problems.append(RowProblem(file, line, message))
        else:
            yield _Row(line, int(found[0] or 0), found)


def _cell(text: str) -> str | None:
    text = text.strip()
    return None if text in (_NULL, "") else text


def _refusal(cells: list[str | None], part: str) -> str | None:
    """Return why a row cannot be used."""
    if len(cells) != _COLUMNS[part]:
        return f"expected {_COLUMNS[part]} fields, found {len(cells)}"
    if not (cells[0] or "").isascii() or not (cells[0] or "").isdigit():
        return f"expected an entity number, found {cells[0]!r}"
    if any("\x1a" in cell or "\x00" in cell for cell in cells if cell):
        return "control characters inside a field"
    if part == "sdn" and cells[1] is None:
        return "expected a name, found -0-"
    if part == "sdn" and cells[2] not in _KINDS:
        return f"expected individual, vessel, aircraft or -0-, found {cells[2]!r}"
    if part == "alt" and cells[3] is None:
        return "expected a name, found -0-"
    if part == "alt" and cells[2] not in _ALIAS_KINDS:
        return f"expected aka, fka or nka, found {cells[2]!r}"
    return None


def _entities(rows: Sequence[tuple[str, _Row]], problems: list[RowProblem]) -> dict[int, Entry]:
    entries: dict[int, Entry] = {}
    seen: dict[int, list[str | None]] = {}
    for file, row in rows:
        if row.id in seen:
            if seen[row.id] != row.cells:
                problems.append(RowProblem(file, row.line, f"entity {row.id} is listed twice"))
            continue
        seen[row.id] = row.cells
        _, name, kind, programs, title, *_, flag, _owner, remarks = row.cells
        entries[row.id] = Entry(
            id=row.id,
            name=name or "",
            kind=_KINDS[kind],
            programs=tuple(part.strip("[] ") for part in (programs or "").split("] [") if part),
            title=title,
            flag=flag,
            remarks=remarks,
            aliases=tuple(
                Alias(name=text, kind=f"{letter}ka", weak=True)
                for letter, text in _REMARK_ALIAS.findall(remarks or "")
            ),
        )
    return entries


def _addresses(rows: Sequence[tuple[str, _Row]]) -> dict[int, list[Address]]:
    found: dict[int, dict[str | None, Address]] = {}
    for _, row in rows:
        _, number, street, city, country, remarks = row.cells
        if street or city or country:
            found.setdefault(row.id, {})[number] = Address(
                street=street, city=city, country=country, remarks=remarks
            )
    return {id: list(by_number.values()) for id, by_number in found.items()}


def _aliases(
    rows: Sequence[tuple[str, _Row]], problems: list[RowProblem]
) -> dict[int, list[Alias]]:
    found: dict[int, dict[str, Alias]] = {}
    for file, row in rows:
        _, number, kind, name, _ = row.cells
        alias = Alias(name=name or "", kind=kind or "aka")
        known = found.setdefault(row.id, {}).setdefault(number or "", alias)
        if known != alias:
            problems.append(RowProblem(file, row.line, f"name {number} is listed twice"))
    return {id: list(by_number.values()) for id, by_number in found.items()}
