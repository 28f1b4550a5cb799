"""Every blob store keeps the same promises: one suite over all of them."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentsquad.kernel.errors import IntegrityError, MissingError
from agentsquad.kernel.ports import BlobStore
from agentsquad.runtime.ledger.adapters.files import FileBlobStore
from agentsquad.runtime.ledger.adapters.memory import MemoryBlobStore
from agentsquad.runtime.ledger.blob import externalise, resolve

_spec = importlib.util.spec_from_file_location(
    "ledger_kit", Path(__file__).parent / "ledger_kit.py"
)
assert _spec and _spec.loader
kit = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(kit)


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.fixture(params=["memory", "files", "postgres"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BlobStore]:
    if request.param == "postgres":
        ledger = kit.open_test_ledger(kit.url_of("postgres", tmp_path))
        yield ledger.blobs
        ledger.close()
    else:
        yield MemoryBlobStore() if request.param == "memory" else FileBlobStore(str(tmp_path / "b"))


async def test_bytes_come_back_by_their_digest(blobs: BlobStore) -> None:
    for data in (b"", b"x", bytes(range(256)) * 4096):
        reference = await blobs.put(data, "application/x-test")
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        assert reference == {
            "$blob": digest,
            "size": len(data),
            "media_type": "application/x-test",
        }
        assert await blobs.put(data, "application/x-test") == reference
        assert await blobs.get(digest) == data


async def test_what_was_never_stored_or_deleted_is_missing(blobs: BlobStore) -> None:
    reference = await blobs.put(b"gone")
    await blobs.delete(reference["$blob"])
    await blobs.delete(reference["$blob"])
    await blobs.delete("sha256:" + "0" * 64)
    for digest in (reference["$blob"], "sha256:" + "0" * 64, "../../etc/passwd", "", "sha256:AB"):
        with pytest.raises(MissingError):
            await blobs.get(digest)
    await blobs.put(b"gone")
    assert await blobs.get(reference["$blob"]) == b"gone"


async def test_large_texts_leave_the_payload_and_come_back(blobs: BlobStore) -> None:
    payload = {"keep": "short", "big": "ä" * 10_000, "list": [{"big": "b" * 8193}, "c" * 8192, 7]}
    small = await externalise(payload, blobs)
    assert small["keep"] == "short" and small["list"][1:] == ["c" * 8192, 7]
    assert small["big"]["size"] == 20_000 and small["big"]["media_type"] == "text/plain"
    assert small["list"][0]["big"]["$blob"].startswith("sha256:")
    assert await resolve(small, blobs) == payload
    assert await externalise(small, blobs) == small


async def test_a_file_that_changed_is_never_served(tmp_path: Path) -> None:
    blobs = FileBlobStore(str(tmp_path))
    reference = await blobs.put(b"invoice 4711")
    [path] = files(tmp_path)
    for data in (b"invoice 4712", b"invoice 471", b"", b"invoice 4711 "):
        path.write_bytes(data)
        with pytest.raises(IntegrityError) as caught:
            await blobs.get(reference["$blob"])
        assert caught.value.code == "ledger.damaged"
    await blobs.put(b"invoice 4711")
    assert await blobs.get(reference["$blob"]) == b"invoice 4711", "storing it again repairs it"


async def test_a_failed_write_leaves_no_half_blob(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    def fail(handle: int) -> None:
        raise OSError(28, "No space left on device")

    blobs = FileBlobStore(str(tmp_path))
    with monkeypatch.context() as patch:
        # The system call is replaced: a real full disk needs a file system of
        # its own.
        patch.setattr(os, "fsync", fail)
        with pytest.raises(Exception) as caught:
            await blobs.put(b"data")
        assert getattr(caught.value, "code", "") == "ledger.full"
    assert files(tmp_path) == []
    reference = await blobs.put(b"data")
    assert await blobs.get(reference["$blob"]) == b"data"
