"""A log's key is replaced, and everything signed before and after verifies; a
replaced key can sign nothing new."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentsquad.kernel import canonical, hashing
from agentsquad.kernel.errors import IntegrityError, SquadError
from agentsquad.kernel.event import NewEvent
from agentsquad.runtime.ledger.checkpoint import Checkpoint
from agentsquad.runtime.ledger.note import VerifierKey, sign
from agentsquad.trust.attestation import verify
from agentsquad.trust.attestation.adapters import ed25519
from agentsquad.trust.attestation.adapters.ed25519 import Ed25519Signer, HomeNotary, check
from agentsquad.trust.attestation.adapters.memory import MemoryNotary
from agentsquad.trust.attestation.archive import pack
from agentsquad.trust.attestation.contract import KeyChainError
from agentsquad.trust.attestation.heads import LogSigner, recorded_heads, sign_head
from agentsquad.trust.attestation.rotation import Link, limits, link


def key_of(seed: int) -> Ed25519Signer:
    return Ed25519Signer("example.org/log", bytes([seed]) * 32)


def chain(*sizes: int) -> tuple[list[Ed25519Signer], list[Link]]:
    keys = [key_of(n) for n in range(len(sizes) + 1)]
    pairs = zip(keys, keys[1:], sizes, strict=False)
    return keys, [link(old, size, new.key) for old, new, size in pairs]


async def rotate(office, **more: Any) -> Any:
    return await office.call("log.rotate_key", reason="yearly", **more)


async def case_of(office, subject: object, **more: Any) -> bytes:
    await office.call("attest.prove", subject=str(subject), out="case.zip", **more)
    return office.files.content["case.zip"]


def lines_of(data: bytes, key: str | None = None, kept: set[str] = frozenset()) -> str:
    return "\n".join(verify.report(verify.Case(data), key, kept))


# --- the chain, pure


def test_every_key_of_a_chain_has_the_limit_it_signed() -> None:
    keys, links = chain(5, 9)
    found = limits(keys[-1].key, links, check)
    assert list(found.items()) == [(keys[2].key, None), (keys[1].key, 9), (keys[0].key, 5)]


def test_an_older_key_may_never_sign_more_than_the_one_after_it() -> None:
    keys, links = chain(50, 9)
    assert limits(keys[-1].key, links, check)[keys[0].key] == 9


@pytest.mark.parametrize(
    "spoil",
    [
        lambda links: links[1:] + links[:1],
        lambda links: links[:1],
        lambda links: [links[0], Link(links[0].old, links[1].note)],
        lambda links: [links[0], Link(links[1].old, links[1].note.replace("9", "99", 1))],
        lambda links: [links[0], Link(links[1].old, "nonsense")],
    ],
    ids=["order", "cut", "another signer", "another limit", "nonsense"],
)
def test_a_chain_that_does_not_lead_to_the_present_key_is_refused(spoil: Any) -> None:
    keys, links = chain(5, 9)
    with pytest.raises(KeyChainError):
        limits(keys[-1].key, spoil(links), check)


@given(st.integers(0, 400), st.integers(1, 255))
def test_no_changed_byte_of_a_link_is_believed(at: int, by: int) -> None:
    keys, (one,) = chain(5)
    raw = bytearray(one.note.encode())
    raw[at % len(raw)] ^= by
    with pytest.raises((KeyChainError, UnicodeDecodeError)):
        limits(keys[-1].key, [Link(one.old, raw.decode())], check)


# --- the notary's files


def test_a_replaced_key_is_gone_and_the_new_one_is_private(tmp_path: Path) -> None:
    notary = HomeNotary(tmp_path)
    before, secret = notary.key(), (tmp_path / "log.key").read_text()
    notary.rotate(7)
    after = notary.key()
    assert before.partition("+")[0] == after.partition("+")[0], "the log keeps its name"
    assert before != after == HomeNotary(tmp_path).key()
    assert [old for old, _ in notary.links()] == [before]
    assert stat.S_IMODE((tmp_path / "log.key").stat().st_mode) == 0o600
    assert not any(secret.strip() in path.read_text() for path in tmp_path.iterdir())


def test_another_process_notices_that_the_key_was_replaced(tmp_path: Path) -> None:
    here, there = HomeNotary(tmp_path), HomeNotary(tmp_path)
    assert here.key() == there.key()
    there.rotate(1)
    assert here.key() == there.key()
    here.rotate(2)
    assert LogSigner(there).key == LogSigner(here).key
    assert len(there.links()) == 2


@pytest.mark.parametrize("step", ["_write_secret", "write", "replace"])
def test_a_crash_while_a_key_is_replaced_leaves_one_that_the_chain_leads_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    notary = HomeNotary(tmp_path)
    before = notary.key()

    class Crash(BaseException):
        pass

    def crash(*given: Any) -> None:
        raise Crash

    with monkeypatch.context() as patched:
        if step == "_write_secret":  # half of the next key is written
            half = lambda path, signer: (path.write_text("PRIVATE+"), crash())  # noqa: E731
            patched.setattr(ed25519, step, half)
        elif step == "write":
            patched.setattr(notary._files, "write", crash)
        else:
            replace = Path.replace
            patched.setattr(
                Path,
                "replace",
                lambda path, to: crash() if path.suffix == ".next" else replace(path, to),
            )
        with pytest.raises(Crash):
            notary.rotate(3)
    again = HomeNotary(tmp_path)
    assert (again.key() == before) == (step != "replace")
    assert LogSigner(again).key.encode() == again.key()
    assert not (tmp_path / "log.key.next").exists()
    again.rotate(4)
    assert LogSigner(HomeNotary(tmp_path)).key.encode() != before


@pytest.mark.slow
def test_every_flipped_byte_of_the_chain_is_a_typed_error(tmp_path: Path) -> None:
    notary = HomeNotary(tmp_path)
    notary.rotate(3)
    path, whole = tmp_path / "log.keys", (tmp_path / "log.keys").read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(SquadError):
            LogSigner(HomeNotary(tmp_path))
    for end in range(1, len(whole) - 1):
        path.write_bytes(whole[:end])
        with pytest.raises(SquadError):
            LogSigner(HomeNotary(tmp_path))
    path.write_bytes(whole)
    assert LogSigner(HomeNotary(tmp_path)).key == LogSigner(notary).key


def test_a_chain_of_another_home_is_refused(tmp_path: Path) -> None:
    one, other = HomeNotary(tmp_path / "one"), HomeNotary(tmp_path / "other")
    one.rotate(1)
    other.rotate(1)
    (tmp_path / "one/log.keys").write_bytes((tmp_path / "other/log.keys").read_bytes())
    with pytest.raises(KeyChainError):
        LogSigner(HomeNotary(tmp_path / "one"))
    (tmp_path / "one/log.keys").write_text("{")
    with pytest.raises(KeyChainError):
        HomeNotary(tmp_path / "one").key()


# --- the log


async def test_a_rotation_is_recorded_and_signed_heads_go_on(office):
    await office.settle()
    before = (await office.call("log.checkpoint")).key
    done = await rotate(office)
    assert done.key != before and done.key == office.notary.key()
    assert done.replaced == VerifierKey.parse(before).fingerprint
    (event,) = await office.store.read(types=["log.key_rotated"], limit=10)
    assert (event.payload["old"], event.payload["reason"]) == (before, "yearly")
    assert event.actor == "person:ada"
    heads = await recorded_heads(office.store, office.notary)
    assert len(heads) == 3, "the heads by the old key count as before"
    assert (await office.call("log.checkpoint")).key == done.key


async def test_a_rotation_the_log_does_not_know_of_is_recorded_by_the_next_head(office):
    await office.settle()
    head = await sign_head(office.store, office.notary)
    office.notary.rotate(head.checkpoint.size)  # and the process ended here
    await office.call("log.checkpoint")
    (event,) = await office.store.read(types=["log.key_rotated"], limit=10)
    assert event.payload["note"] == office.notary.links()[0][1]
    await office.call("log.checkpoint")
    assert len(await office.store.read(types=["log.key_rotated"], limit=10)) == 1


async def test_a_replaced_key_signs_no_new_head_that_is_believed(office):
    await office.settle()
    thief = MemoryNotary(bytes(range(32)))  # has the key that is replaced
    await rotate(office)
    head = await office.store.head()
    stolen = Checkpoint(LogSigner(thief).key.name, head.size, head.root)
    note = sign(stolen.text(), LogSigner(thief)).encode()
    with pytest.raises(KeyChainError, match="signed by a key that was replaced"):
        LogSigner(office.notary).open(note)


async def test_a_witness_file_spans_the_keys(office):
    await office.settle()
    await office.call("log.checkpoint", witness="heads")
    await rotate(office, witness="heads")
    await office.settle(600)
    done = await office.call("log.checkpoint", witness="heads")
    assert done.witnessed == 4


async def test_an_export_goes_on_under_the_new_key(office):
    await office.settle()
    await office.call("log.export", folder="out")
    await rotate(office)
    await office.call("log.export", folder="out")
    assert office.files.content["out/log.vkey"].decode().strip() == office.notary.key()


# --- cases


async def test_cases_from_before_and_after_verify(office):
    run = await office.settle()
    old_key = office.notary.key()
    old_case = await case_of(office, run)
    await rotate(office)
    later = await office.settle(700)
    for subject in (run, later):
        text = lines_of(await case_of(office, subject))
        assert "ok  1 older keys say which one follows" in text
    assert "older keys" not in lines_of(old_case)
    assert lines_of(old_case, key=old_key)


async def test_whoever_trusts_any_key_of_the_chain_can_verify(office):
    run = await office.settle()
    keys = [office.notary.key()]
    for _ in range(2):
        await rotate(office)
        keys.append(office.notary.key())
    data = await case_of(office, run)
    for key in keys:
        assert "ok  2 older keys" in lines_of(data, key=key)
    stranger = key_of(9).key.encode()
    with pytest.raises(ValueError, match="another key than --key"):
        lines_of(data, key=stranger)


async def test_heads_kept_from_before_are_extended_by_a_case_from_after(office):
    run = await office.settle()
    kept = (await office.call("log.checkpoint", witness="heads")).checkpoint
    await rotate(office)
    data = await case_of(office, run, witness="heads")
    assert "except up to your heads" in lines_of(data, kept={kept})


def relisted(office, data: bytes, change: Any) -> bytes:
    """Return the case with its manifest changed and signed anew."""
    case = verify.Case(data)
    manifest = json.loads(verify.canon(case.manifest))
    change(manifest)
    listing = canonical.dumps(manifest)
    text = f"agentsquad.dev/case/v1\n{hashing.digest_bytes(listing)}\n"
    note = sign(text, LogSigner(office.notary)).encode()
    return pack([("manifest.json", listing), ("manifest.note", note), *case.members.items()])


def swapped(manifest: Any) -> None:
    manifest["rotations"].reverse()


def cut(manifest: Any) -> None:
    del manifest["rotations"][-1]


def lowered(manifest: Any) -> None:
    old, note = manifest["rotations"][0]
    tag, limit, *rest = note.split("\n")
    manifest["rotations"][0] = [old, "\n".join([tag, str(int(limit) + 90), *rest])]


def of_another(manifest: Any) -> None:
    mine, theirs = key_of(1), key_of(2)
    one = link(mine, 3, theirs.key)
    manifest["rotations"][0] = [one.old, one.note]


@pytest.mark.parametrize("change", [swapped, cut, lowered, of_another])
async def test_a_lie_about_the_keys_is_found(office, change):
    run = await office.settle()
    await rotate(office)
    await rotate(office)
    data = await case_of(office, run)
    assert relisted(office, data, lambda manifest: None) == data
    with pytest.raises(ValueError, match=r"chain of keys|signature is wrong|another key"):
        lines_of(relisted(office, data, change))


async def test_a_head_that_a_replaced_key_signed_too_late_is_found_in_a_case(office):
    run = await office.settle()
    thief = MemoryNotary(bytes(range(32)))
    await rotate(office)
    await office.store.append([NewEvent(stream="x", type="x.happened", payload={})])
    head = await office.store.head()
    late = sign(
        Checkpoint(LogSigner(thief).key.name, head.size, head.root).text(), LogSigner(thief)
    ).encode()
    await office.settle(800)
    data = await case_of(office, run)
    lie = {"note": late.decode(), "proof": []}
    with pytest.raises(ValueError, match="not a head"):
        lines_of(relisted(office, data, lambda m: m["heads"].append(lie)))


def test_links_are_kept_as_plain_json(tmp_path: Path) -> None:
    notary = HomeNotary(tmp_path)
    notary.rotate(3)
    (line,) = (tmp_path / "log.keys").read_bytes().splitlines()
    assert msgspec.json.decode(line) == list(notary.links()[0])


async def test_other_errors_stay_integrity_errors(office):
    stranger = MemoryNotary(b"s" * 32)
    await office.settle()
    await rotate(office)
    note = sign("x\n1\nAAAA\n", LogSigner(stranger)).encode()
    with pytest.raises(IntegrityError) as caught:
        LogSigner(office.notary).open(note)
    assert caught.value.code == "note.unverified"
