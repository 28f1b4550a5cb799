"""Cases: made from a real run, verified by the script that travels inside."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from agentsquad.kernel.errors import InvalidError, MissingError
from agentsquad.trust.attestation import verify
from agentsquad.trust.attestation.adapters.ed25519 import Ed25519Signer
from agentsquad.trust.attestation.heads import LogSigner


def verified(data: bytes, key: str | None = None, kept: set[str] = frozenset()) -> list[str]:
    return verify.report(verify.Case(data), key, kept)


def run_script(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-S", "verify.py", "case.zip"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


async def made(office, subject: str | int, **options) -> bytes:
    await office.call("attest.prove", subject=str(subject), out="case.zip", **options)
    return office.files.content["case.zip"]


async def test_the_case_of_a_run_verifies_and_says_what_it_shows(office):
    run = await office.settle()
    await office.note(run)
    lines = verified(await made(office, run))
    text = "\n".join(lines)
    assert f'ok  {{"run":"{run}"}} in agentsquad.local/log/' in text
    assert f"ok  run/{run} is whole, up to note.added" in text
    assert f"ok  run/{run}/review is whole, up to run.completed" in text
    assert "1 approvals fit their effects; 0 values disclosed" in text
    assert "--  what 2 sealed values and 0 absent blobs hold" in text
    assert f"--  whose key it is: {LogSigner(office.notary).key.fingerprint}" in text


async def test_the_script_inside_verifies_on_a_machine_without_this_package(office, tmp_path):
    run = await office.settle()
    case = tmp_path / "case.zip"
    case.write_bytes(await made(office, run))
    with zipfile.ZipFile(case) as archive:
        archive.extract("verify.py", tmp_path)
    done = run_script(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("\nVERIFIED\n")
    case.write_bytes(case.read_bytes().replace(b"PAY-500", b"PAY-900"))
    done = run_script(tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("NOT VERIFIED: ")


def test_the_script_is_at_most_300_lines_of_standard_library():
    source = Path(verify.__file__).read_text()
    assert len(source.splitlines()) <= 300
    imported = {
        line.split()[1].partition(".")[0]
        for line in source.splitlines()
        if line.startswith(("import ", "from "))
    }
    assert imported - {"__future__"} <= sys.stdlib_module_names


async def test_the_case_of_one_event_holds_its_causes_and_approvals(office):
    run = await office.settle()
    events = await office.store.read_stream(f"run/{run}")
    planned = next(event for event in events if event.type == "effect.planned")
    data = await made(office, planned.seq)
    case = verify.Case(data)
    assert "ok  1 effects" not in verify.report(case, None, set())[0]
    assert case.approved == 1
    assert {"approval.requested", "approval.given"} <= {
        header["type"] for header, _, _ in case.events.values()
    }


async def test_a_case_made_twice_has_the_same_bytes_and_adds_nothing_to_the_log(office):
    run = await office.settle()
    first = await made(office, run)
    size = await office.store.size()
    assert await made(office, run) == first
    assert await office.store.size() == size


async def test_erasing_a_person_leaves_old_and_new_cases_verifying(office):
    run = await office.settle()
    await office.note(run)
    shown = await made(office, run, disclose=["person:12"])
    sealed = await made(office, run)
    assert b'"Max"' in shown and b'"Max"' not in sealed
    assert "Zoë".encode() not in shown
    await office.call("log.erase", subject="person:4711", reason="asked to be forgotten")
    again = await made(office, run)
    for data in (shown, sealed, again):
        verified(data)
    assert again == sealed
    with pytest.raises(InvalidError) as caught:
        await made(office, run, disclose=["person:4711"])
    assert caught.value.code == "prove.disclose"


@pytest.mark.parametrize(
    ("name", "count"),
    [("person:4711", 1), ("/contact/name", 1), ("/lines/0/clerk", 1), ("SEQ/lines/0/clerk", 1)],
)
async def test_values_are_disclosed_by_subject_pointer_or_place(office, name, count):
    run = await office.settle()
    seq = await office.note(run)
    data = await made(office, run, disclose=[name.replace("SEQ", str(seq))])
    case = verify.Case(data)
    text = "\n".join(verify.report(case, None, set()))
    assert case.shown == count
    assert f"{count} values disclosed" in text and "what 1 sealed values" in text


async def test_what_does_not_exist_is_neither_proven_nor_disclosed(office):
    run = await office.settle()
    for subject, code in (
        ("nothing", "run.missing"), ("999999", "prove.missing"), ("0", "prove.missing"),
    ):  # fmt: skip
        with pytest.raises(MissingError) as caught:
            await made(office, subject)
        assert caught.value.code == code
    verify.Case(await made(office, run[:-1]))  # the beginning of an id is enough
    with pytest.raises(InvalidError):
        await made(office, run, disclose=["/scan"])


async def test_the_policy_text_and_the_evidence_travel_along(office):
    run = await office.settle()
    await office.note(run)
    case = verify.Case(await made(office, run))
    verify.report(case, None, set())
    revision = office.squad.policy.revision.removeprefix("sha256:")
    assert b"bank.rules.large" in case.members[f"policies/{revision}.json"]
    blobs = [data for name, data in case.members.items() if name.startswith("blobs/")]
    assert blobs == [b"%PDF-1.7 the invoice"]


async def test_a_blob_that_is_gone_is_said_to_be_absent(office):
    run = await office.settle()
    seq = await office.note(run)
    event = (await office.store.read(after=seq - 1, limit=1))[0]
    await office.squad.ledger.blobs.delete(event.payload["scan"]["$blob"])
    assert "1 absent blobs" in "\n".join(verified(await made(office, run)))


async def test_the_auditors_own_key_is_compared(office):
    run = await office.settle()
    data = await made(office, run)
    key = LogSigner(office.notary).key.encode()
    assert not any("whose key" in line for line in verified(data, key))
    other = Ed25519Signer.named_after_key(bytes(32)).key.encode()
    with pytest.raises(ValueError, match="another key"):
        verified(data, other)


async def test_heads_the_auditor_kept_must_be_extended(office):
    await office.settle()
    await office.call("log.checkpoint", witness="heads")
    run = await office.settle(700)
    await office.call("log.checkpoint", witness="heads")
    parts = office.files.content["heads"].decode().split("\n\n")
    kept = {f"{parts[n]}\n\n{parts[n + 1]}\n" for n in range(0, len(parts) - 1, 2)}
    assert len(kept) == 2
    text = "\n".join(verified(await made(office, run, witness="heads"), None, kept))
    assert "except up to your heads" in text
    with pytest.raises(ValueError, match="a head you kept is not in the case"):
        verified(await made(office, run), None, {next(iter(kept)).replace("\n", "1\n", 1)})


async def test_a_case_of_a_log_on_disk_is_the_same_after_opening_it_again(office, tmp_path):
    kind, address = type(office), f"sqlite:///{tmp_path}/log.db"
    first = kind(address)
    run = await first.settle()
    await first.note(run)
    data = await made(first, run, disclose=["person:12"])
    verified(data)
    await first.squad.engine.close()
    first.squad.ledger.close()
    again = kind(address)
    assert await made(again, run, disclose=["person:12"]) == data
    again.squad.ledger.close()
