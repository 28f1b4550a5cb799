"""Any flipped byte anywhere in a case is found: every byte of a small one, many
of a larger.
"""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentsquad.kernel.event import NewEvent
from agentsquad.runtime.ledger.adapters.memory import MemoryBlobStore
from agentsquad.runtime.ledger.plugin import open_ledger
from agentsquad.testing import ManualClock, SeededEntropy
from agentsquad.trust.attestation import prover, verify
from agentsquad.trust.attestation.adapters.memory import MemoryNotary
from agentsquad.trust.attestation.archive import pack


async def build(events: int) -> bytes:
    ledger = open_ledger("memory:", ManualClock(), SeededEntropy())
    notary = MemoryNotary(bytes(32))
    for number in range(events):
        await ledger.store.append(
            [
                NewEvent(
                    stream="run/r" if number % 2 else "run/other",
                    type="step.completed",
                    payload={"position": str(number), "name": "Ada", "total": number / 7},
                    personal={"/name": "person:1"},
                )
            ]
        )
    sources = prover.Sources(
        store=ledger.store,
        blobs=MemoryBlobStore(),
        keyring=ledger.keyring,
        notary=notary,
        policies={},
    )
    made = await prover.prove(sources, "r", actor="person:ada", disclose=["/name"])
    ledger.close()
    return made.data


@pytest.fixture(scope="module")
def small() -> bytes:
    data = asyncio.run(build(3))
    assert refused(data) is None
    return data


@pytest.fixture(scope="module")
def large() -> bytes:
    data = asyncio.run(build(300))
    assert refused(data) is None
    return data


def refused(data: bytes) -> str | None:
    try:
        verify.report(verify.Case(data), None, set())
    except Exception as error:  # noqa: BLE001 - as the script itself does
        return f"{type(error).__name__}: {error}"
    return None


@pytest.mark.slow
def test_every_flipped_byte_of_a_small_case_is_found(small):
    for place in range(len(small)):
        changed = bytearray(small)
        changed[place] ^= 1 << place % 8
        assert refused(bytes(changed)), f"byte {place}"


@pytest.mark.slow
def test_a_case_cut_anywhere_or_followed_by_anything_is_found(small):
    for end in range(0, len(small), 97):
        assert refused(small[:end])
    assert refused(small + b"\0")
    assert refused(b"\0" + small)
    assert refused(b"")


@settings(max_examples=150)
@given(place=st.integers(0), bit=st.integers(0, 7))
def test_flipped_bytes_of_a_larger_case_are_found(large, place, bit):
    changed = bytearray(large)
    changed[place % len(large)] ^= 1 << bit
    assert refused(bytes(changed))


@settings(max_examples=60)
@given(data=st.data())
def test_a_flipped_byte_in_a_repaired_archive_is_found(small, data):
    """Somebody without the key changes a member and fixes every checksum of the
    archive.
    """
    with zipfile.ZipFile(io.BytesIO(small)) as archive:
        members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    at = data.draw(st.integers(0, len(members) - 1))
    name, content = members[at]
    place = data.draw(st.integers(0, len(content) - 1))
    changed = bytearray(content)
    changed[place] ^= 1 << data.draw(st.integers(0, 7))
    members[at] = name, bytes(changed)
    assert refused(pack(members))
    if at > 1:
        listing = json.loads(members[0][1])
        listing["members"][at - 2][1] = f"sha256:{zlib.crc32(changed):064x}"
        members[0] = "manifest.json", json.dumps(listing).encode()
        assert refused(pack(members))


def test_the_archive_opens_in_every_zip_reader_without_complaint(small):
    with zipfile.ZipFile(io.BytesIO(small)) as archive:
        assert archive.testzip() is None
        assert archive.namelist()[:4] == [
            "manifest.json",
            "manifest.note",
            "verify.py",
            "checkpoint",
        ]
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
