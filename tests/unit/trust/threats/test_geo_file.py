"""Countries from a file in MaxMind's format, written here by its specification:
one node that sends the lower half of all addresses to one record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agentsquad.testing.clock import ManualClock
from agentsquad.testing.entropy import SeededEntropy
from agentsquad.trust.threats.contract import Hit
from agentsquad.trust.threats.plugin import places
from agentsquad.trust.threats.protection import Protection
from agentsquad.trust.threats.shield import SquadShield

TEXT, UINT16, UINT32, MAP, UINT64, ARRAY = 2, 5, 6, 7, 9, 11


def coded(value: Any, kind: int = 0) -> bytes:
    """Return a value as the format's data section keeps it."""
    if isinstance(value, str):
        return bytes([TEXT << 5 | len(value)]) + value.encode()
    if isinstance(value, dict):
        inner = b"".join(coded(k) + coded(v) for k, v in value.items())
        return bytes([MAP << 5 | len(value)]) + inner
    if isinstance(value, list):
        return bytes([len(value), ARRAY - 7]) + b"".join(coded(one) for one in value)
    number, kind = value
    data = number.to_bytes((number.bit_length() + 7) // 8)
    if kind > 7:
        return bytes([len(data), kind - 7]) + data
    return bytes([kind << 5 | len(data)]) + data


def database(record: Any) -> bytes:
    """Return a file in which 0.0.0.0/1 has a record, and nothing else has."""
    nodes = 1
    tree = (nodes + 16).to_bytes(3) + nodes.to_bytes(3)
    about = {
        "binary_format_major_version": (2, UINT16),
        "binary_format_minor_version": (0, UINT16),
        "build_epoch": (1_795_435_200, UINT64),
        "database_type": "Test-Country",
        "description": {"en": "a test"},
        "ip_version": (4, UINT16),
        "languages": ["en"],
        "node_count": (nodes, UINT32),
        "record_size": (24, UINT16),
    }
    return tree + b"\0" * 16 + coded(record) + b"\xab\xcd\xefMaxMind.com" + coded(about)


@pytest.mark.parametrize(
    ("record", "country"),
    [
        ({"country": {"iso_code": "NZ"}}, "NZ"),
        ({"registered_country": {"iso_code": "DE"}}, "DE"),
        ({"country": {"names": {"en": "Nowhere"}}}, ""),
        ({"country": "NZ"}, ""),
        ("NZ", ""),
    ],
)
def test_countries_are_read_and_odd_records_are_none(
    tmp_path: Path, record: Any, country: str
) -> None:
    file = tmp_path / "countries.mmdb"
    file.write_bytes(database(record))
    found = places({"SQUAD_GEO": str(file)})
    assert found is not None
    assert found.country("1.2.3.4") == country
    for elsewhere in ("203.0.113.9", "2001:db8::1", "", "nonsense", "fe80::1%eth0"):
        assert found.country(elsewhere) == ""


def test_a_shield_refuses_a_country(tmp_path: Path) -> None:
    file = tmp_path / "countries.mmdb"
    file.write_bytes(database({"country": {"iso_code": "NZ"}}))
    shield = SquadShield(ManualClock(), SeededEntropy(), places=places({"SQUAD_GEO": str(file)}))
    shield.put(Protection(deny=("NZ",)))
    answers = [
        shield.outer(Hit(surface="rest", method="GET", path="/", address=address)).answer
        for address in ("1.2.3.4", "203.0.113.9")
    ]
    assert answers == ["refuse", "pass"]
