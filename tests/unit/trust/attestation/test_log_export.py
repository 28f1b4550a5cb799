"""Exports read back by a reader written from the specifications alone, and by a
foreign one.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from agentsquad.kernel.errors import IntegrityError
from agentsquad.kernel.event import NewEvent
from agentsquad.trust.attestation.adapters.files import LocalFiles


class Reader:
    """An independent client of a tlog-tiles log.

    Knows c2sp.org/tlog-tiles, tlog-checkpoint and signed-note, RFC 6962 and
    nothing of this project: no code of it is imported here.
    """

    def __init__(self, files: dict[str, bytes], verifier_key: str) -> None:
        self.files = files
        name, _, rest = verifier_key.partition("+")
        self.name, self.id = name, bytes.fromhex(rest[:8])
        public = base64.b64decode(rest[9:])
        assert hashlib.sha256(name.encode() + b"\n" + public).digest()[:4] == self.id
        assert public[0] == 1
        self.public = Ed25519PublicKey.from_public_bytes(public[1:])

    def head(self) -> tuple[int, bytes]:
        text, signatures = self.files["checkpoint"].decode().rsplit("\n\n", 1)
        for line in signatures.splitlines():
            dash, name, blob = line.split(" ")
            raw = base64.b64decode(blob)
            if (dash, name, raw[:4]) == ("\u2014", self.name, self.id):
                self.public.verify(raw[4:], (text + "\n").encode())
                _, size, root = text.split("\n")
                return int(size), base64.b64decode(root)
        raise AssertionError("not signed by the log")

    @staticmethod
    def path(prefix: str, number: int, width: int) -> str:
        digits = f"{number:03d}"
        digits = "0" * (-len(digits) % 3) + digits
        groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
        path = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
        return f"{prefix}/{path}" + (f".p/{width}" if width < 256 else "")

    def tile(self, level: int, number: int, size: int) -> list[bytes]:
        count = size // 256**level - number * 256
        data = self.files[self.path(f"tile/{level}", number, min(256, count))]
        assert len(data) == 32 * min(256, count)
        return [data[at : at + 32] for at in range(0, len(data), 32)]

    def entries(self, size: int) -> list[bytes]:
        found: list[bytes] = []
        for number in range((size + 255) // 256):
            data = self.files[self.path("tile/entries", number, min(256, size - number * 256))]
            while data:
                length = int.from_bytes(data[:2], "big")
                found.append(data[2 : 2 + length])
                data = data[2 + length :]
        return found

    @classmethod
    def mth(cls, leaves: list[bytes]) -> bytes:
        if len(leaves) == 1:
            return leaves[0]
        k = 1
        while k * 2 < len(leaves):
            k *= 2
        return hashlib.sha256(b"\x01" + cls.mth(leaves[:k]) + cls.mth(leaves[k:])).digest()

    def audit(self) -> list[dict]:
        """Check everything the way a full monitor does; return the entries."""
        size, root = self.head()
        entries = self.entries(size)
        leaves = [hashlib.sha256(b"\x00" + entry).digest() for entry in entries]
        assert len(entries) == size and self.mth(leaves) == root
        below, level = leaves, 0
        while below:
            for number in range((len(below) + 255) // 256):
                assert self.tile(level, number, size) == below[number * 256 : number * 256 + 256]
            full = len(below) // 256
            below = [self.mth(below[n * 256 : n * 256 + 256]) for n in range(full)]
            level += 1
        return [json.loads(entry) for entry in entries]


async def fill(office, count: int) -> None:
    for start in range(0, count, 500):
        await office.store.append(
            [
                NewEvent(stream=f"s/{number % 7}", type="thing.happened", payload={"n": number})
                for number in range(start, min(start + 500, count))
            ]
        )


def folder(office, name: str) -> dict[str, bytes]:
    files = office.files.content
    return {path[len(name) + 1 :]: data for path, data in files.items() if path.startswith(name)}


@pytest.mark.parametrize("count", [1, 255, 256, 257, 700])
async def test_an_independent_reader_verifies_an_export_of_any_size(office, count):
    await fill(office, count)
    out = await office.call("log.export", folder="log/")
    files = folder(office, "log")
    reader = Reader(files, files["log.vkey"].decode().strip())
    entries = reader.audit()
    assert [entry["seq"] for entry in entries] == list(range(1, count + 1))
    assert (out.size, out.size_before) == (count, 0)
    assert not any(b'"payload":' in data for data in files.values())


@pytest.mark.slow
async def test_exporting_again_adds_what_is_new_and_still_verifies(office):
    await fill(office, 66_000)
    await office.call("log.export", folder="log")
    await fill(office, 700)
    out = await office.call("log.export", folder="log")
    assert (out.size_before, out.size) == (66_000, 66_700)
    assert out.tiles == 5
    files = folder(office, "log")
    Reader(files, out.key).audit()
    again = await office.call("log.export", folder="log")
    assert again.tiles == 0


async def test_an_export_never_continues_a_folder_of_another_history(office):
    await fill(office, 300)
    await office.call("log.export", folder="log")
    other = type(office)()
    other.files.content.update(office.files.content)
    await fill(other, 299)
    await other.store.append([NewEvent(stream="s/0", type="thing.differed", payload={})])
    before = dict(other.files.content)
    with pytest.raises(IntegrityError) as caught:
        await other.call("log.export", folder="log")
    assert caught.value.code == "log.forked"
    assert other.files.content == before


async def test_a_reader_notices_one_flipped_byte_in_any_file(office):
    await fill(office, 300)
    await office.call("log.export", folder="log")
    files = folder(office, "log")
    key = files.pop("log.vkey").decode().strip()
    for path, data in files.items():
        changed = bytearray(data)
        changed[len(data) // 2] ^= 1
        with pytest.raises(Exception):  # noqa: B017 - a foreign reader fails as it likes
            Reader({**files, path: bytes(changed)}, key).audit()


async def test_another_implementation_verifies_heads_and_proofs(office):
    """The judge is a Rust implementation of the same specifications (package
    metamorphic-log).
    """
    judge = pytest.importorskip("metamorphic_log", reason="pip install metamorphic-log==0.1.11")
    await fill(office, 300)
    first = await office.call("log.checkpoint")
    await fill(office, 400)
    second = await office.call("log.checkpoint")
    keys = [second.key]
    assert judge.checkpoint_verify(second.checkpoint, keys).size == 701
    old, new = first.size, second.size
    grown = await office.call("log.prove", **{"from": old, "to": new})
    judge.checkpoint_verify_consistency(
        first.checkpoint,
        second.checkpoint,
        keys,
        [base64.b64decode(step) for step in grown.proof],
    )
    for seq in (1, 256, 257, 701):
        proof = await office.call("log.prove", seq=seq)
        steps = [base64.b64decode(step) for step in proof.proof]
        leaf = base64.b64decode(proof.leaf)
        judge.checkpoint_verify_inclusion(second.checkpoint, keys, seq - 1, leaf, steps)
        with pytest.raises(judge.VerifyError):
            judge.checkpoint_verify_inclusion(second.checkpoint, keys, seq, leaf, steps)
    with pytest.raises(judge.VerifyError):
        judge.checkpoint_verify(second.checkpoint.replace("701", "702"), keys)


def test_what_is_public_may_be_read_by_all_and_the_rest_by_its_owner(tmp_path):
    before = os.umask(0o077)  # as the command line sets it
    try:
        LocalFiles().write(f"{tmp_path}/site/log/tile/0/000", b"x", public=True)
        LocalFiles().write(f"{tmp_path}/private/case.json", b"x")
    finally:
        os.umask(before)

    def mode(name: str) -> int:
        return (tmp_path / name).stat().st_mode & 0o777

    public = ("site", "site/log", "site/log/tile", "site/log/tile/0")
    assert [mode(name) for name in public] == [0o755] * 4
    assert mode("site/log/tile/0/000") == 0o644
    assert (mode("private"), mode("private/case.json")) == (0o700, 0o600)


def test_a_folder_that_is_there_keeps_its_mode(tmp_path):
    (tmp_path / "mine").mkdir(mode=0o700)
    LocalFiles().write(f"{tmp_path}/mine/checkpoint", b"x", public=True)
    assert (tmp_path / "mine").stat().st_mode & 0o777 == 0o700


async def test_every_file_of_an_export_is_public(office, monkeypatch):
    await fill(office, 3)
    asked: list[bool] = []
    write = office.files.write

    def watched(path: str, data: bytes, *, public: bool = False) -> None:
        asked.append(public)
        write(path, data)

    monkeypatch.setattr(office.files, "write", watched)
    await office.call("log.export", folder="log")
    assert len(asked) == len(folder(office, "log")) and all(asked)
