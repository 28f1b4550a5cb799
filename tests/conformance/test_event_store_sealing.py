"""Personal values are sealed, readable while their key lives, and gone for good
when it is destroyed; every proof holds before and after.
"""

from __future__ import annotations

import base64
import importlib.util
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType

import pytest

from agentsquad.kernel import canonical, hashing
from agentsquad.kernel.errors import IntegrityError
from agentsquad.kernel.event import NewEvent
from agentsquad.runtime.ledger.contract import Ledger


def load(name: str) -> ModuleType:
    if name not in sys.modules:
        path = Path(__file__).parents[1] / "conformance" / f"{name}.py"
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec and spec.loader
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


kit = load("ledger_kit")


@pytest.fixture(params=kit.STORES)
async def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Ledger]:
    opened = kit.open_test_ledger(kit.url_of(request.param, tmp_path))
    yield opened
    opened.close()


def contact(name: str, subject: str, stream: str = "vendor:1") -> NewEvent:
    return NewEvent(
        stream=stream,
        type="vendor.changed",
        payload={"contact": {"name": name}, "bank": ["DE00 1234", 7], "amount": "12.34"},
        personal={"/contact": subject, "/bank/0": subject},
    )


async def test_a_sealed_value_reads_as_written_and_lies_encrypted(ledger: Ledger) -> None:
    new = contact("Ada Lovelace", "person:1")
    [returned] = await ledger.store.append([new])
    assert returned.payload == new.payload
    [read] = await ledger.store.read()
    assert read == returned
    [record] = await ledger.store.read_records()
    assert b"Ada" not in record.payload and b"DE00" not in record.payload
    stored = canonical.loads(record.payload)
    sealed = stored["contact"]["$sealed"]
    assert set(sealed) == {"subject", "commitment", "box"} and sealed["subject"] == "person:1"
    assert stored["amount"] == "12.34" and stored["bank"][1] == 7
    [asked] = await ledger.store.read_sealed()
    assert asked.payload == stored
    assert canonical.loads(record.header)["payload_digest"] == hashing.commit(
        record.salt, record.payload
    )


async def test_the_commitment_is_to_the_value_with_a_salt_of_its_own(ledger: Ledger) -> None:
    await ledger.store.append([contact("Ada", "person:1"), contact("Ada", "person:1")])
    sealed = [
        canonical.loads(r.payload)["contact"]["$sealed"] for r in await ledger.store.read_records()
    ]
    assert sealed[0]["commitment"] != sealed[1]["commitment"]
    for one in sealed:
        inside = ledger.keyring.decrypt("person:1", base64.b64decode(one["box"]))
        assert inside is not None
        content = canonical.loads(inside)
        assert content["value"] == {"name": "Ada"}
        salt = base64.b64decode(content["salt"])
        assert hashing.commit(salt, canonical.dumps(content["value"])) == one["commitment"]


async def test_destroying_a_key_erases_one_subject_and_keeps_every_proof(ledger: Ledger) -> None:
    await ledger.store.append([contact("Ada", "person:1"), contact("Bob", "person:2")])
    records = await ledger.store.read_records()
    head = await ledger.store.head()
    assert ledger.keyring.subjects() == ["person:1", "person:2"]
    assert ledger.keyring.destroy("person:1") == 1
    assert ledger.keyring.destroy("person:1") == 0
    ada, bob = await ledger.store.read()
    sealed = canonical.loads(records[0].payload)
    assert ada.payload == {
        "contact": {"$erased": sealed["contact"]["$sealed"]["commitment"]},
        "bank": [{"$erased": sealed["bank"][0]["$sealed"]["commitment"]}, 7],
        "amount": "12.34",
    }
    assert bob.payload["contact"] == {"name": "Bob"}
    assert await ledger.store.read_records() == records
    assert await ledger.store.head() == head


async def test_a_subject_who_comes_back_gets_a_new_key_and_no_past(ledger: Ledger) -> None:
    await ledger.store.append([contact("Ada", "person:1")])
    ledger.keyring.destroy("person:1")
    await ledger.store.append([contact("Ada again", "person:1")])
    old, new = await ledger.store.read()
    assert "$erased" in old.payload["contact"]
    assert new.payload["contact"] == {"name": "Ada again"}
    assert ledger.keyring.destroy("person:1") == 1
    assert all("$erased" in e.payload["contact"] for e in await ledger.store.read())


async def test_a_lost_key_file_is_not_taken_for_an_erasure(tmp_path: Path) -> None:
    url = kit.url_of("sqlite", tmp_path)
    ledger = kit.open_test_ledger(url)
    await ledger.store.append([contact("Ada", "person:1")])
    ledger.close()
    (tmp_path / "ledger.keys.db").unlink()
    ledger = kit.open_test_ledger(url, seed="other")
    for _ in range(2):
        with pytest.raises(IntegrityError) as caught:
            await ledger.store.read()
        assert caught.value.code == "ledger.key_lost"
        await ledger.store.append([contact("Ada", "person:1")])
    ledger.keyring.destroy("person:1")
    assert all("$erased" in e.payload["contact"] for e in await ledger.store.read())
    ledger.close()


async def test_after_erasure_no_file_holds_the_value_or_the_key(tmp_path: Path) -> None:
    ledger = kit.open_test_ledger(kit.url_of("sqlite", tmp_path))
    for number in range(50):
        await ledger.store.append(
            [contact("Ada Lovelace", "person:1"), contact(f"P{number}", f"person:{number + 2}")]
        )
    keys = ledger.keyring._db.execute("SELECT key FROM key WHERE subject = 'person:1'").get
    assert isinstance(keys, bytes) and len(keys) == 32

    def holding(needle: bytes) -> list[str]:
        return [p.name for p in tmp_path.rglob("*") if p.is_file() and needle in p.read_bytes()]

    assert holding(keys), "the key was somewhere before"
    ledger.keyring.destroy("person:1")
    for needle in (keys, b"Ada Lovelace", b"DE00 1234", keys.hex().encode()):
        assert holding(needle) == []
    ledger.close()
    for needle in (keys, b"Ada Lovelace", b"DE00 1234"):
        assert holding(needle) == []
    assert oct((tmp_path / "ledger.keys.db").stat().st_mode)[-3:] == "600"
