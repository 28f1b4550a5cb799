"""The notary and files of the home pass the same checks as those in memory."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from agentsquad.kernel.errors import IntegrityError, InvalidError, UnavailableError
from agentsquad.runtime.ledger import note
from agentsquad.runtime.ledger.checkpoint import Checkpoint
from agentsquad.runtime.ledger.note import SignerKey, VerifierKey
from agentsquad.trust.attestation.adapters.ed25519 import Ed25519Signer, HomeNotary, check
from agentsquad.trust.attestation.adapters.files import LocalFiles
from agentsquad.trust.attestation.adapters.memory import MemoryFiles, MemoryNotary
from agentsquad.trust.attestation.heads import LogSigner

# RFC 8032, section 7.1: seed, public key, message, signature.
RFC8032 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701c"
        "f9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0"
        "f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984d"
        "c6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]


def signed(notary, size: int) -> bytes:
    signer = LogSigner(notary)
    text = Checkpoint(signer.key.name, size, bytes(32)).text()
    return note.sign(text, signer).encode()


@pytest.fixture(params=["home", "memory"])
def notary(request, tmp_path):
    return HomeNotary(tmp_path / "keys") if request.param == "home" else MemoryNotary(b"s" * 32)


@pytest.mark.parametrize(("seed", "public", "message", "signature"), RFC8032)
def test_signatures_match_the_rfcs_vectors(seed, public, message, signature):
    signer = Ed25519Signer("example.com/log", bytes.fromhex(seed))
    data = bytes.fromhex(message)
    assert signer.key.public.hex() == public
    assert signer.sign(data).hex() == signature
    assert check(signer.key, data, bytes.fromhex(signature))
    assert not check(signer.key, data + b"!", bytes.fromhex(signature))
    assert not check(VerifierKey("x", 6, signer.key.public), data, bytes.fromhex(signature))
    assert not check(VerifierKey("x", 1, b"short"), data, bytes.fromhex(signature))


def test_a_notary_signs_with_one_key_named_after_it(notary):
    key = LogSigner(notary).key
    assert LogSigner(notary).key == key
    assert key.name == f"agentsquad.local/log/{key.fingerprint[7:23]}"
    assert notary.check(key.encode(), b"x", notary.sign(b"x"))
    assert not notary.check(key.encode(), b"y", notary.sign(b"x"))


def test_a_notary_remembers_only_the_largest_head(notary):
    assert notary.last() is None
    for size, kept in ((5, 5), (9, 9), (7, 9), (9, 9)):
        notary.remember(signed(notary, size))
        assert notary.last() == signed(notary, kept)


def test_the_key_file_is_private_and_survives_a_restart(tmp_path):
    first = HomeNotary(tmp_path / "keys").key()
    path = tmp_path / "keys" / "log.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert HomeNotary(tmp_path / "keys").key() == first
    assert SignerKey.parse(path.read_text().strip()).name == first.partition("+")[0]
    assert sorted(os.listdir(tmp_path / "keys")) == ["log.key"]


def test_a_key_others_can_read_is_refused(tmp_path):
    HomeNotary(tmp_path).key()
    (tmp_path / "log.key").chmod(0o644)
    with pytest.raises(IntegrityError) as caught:
        HomeNotary(tmp_path).key()
    assert caught.value.code == "log.key" and "chmod 600" in caught.value.hint


def test_a_damaged_key_is_refused_without_being_shown(tmp_path):
    HomeNotary(tmp_path).key()
    path = tmp_path / "log.key"
    text = path.read_text()
    *name, hashed, body = text.split("+", 4)  # the body may hold a plus of its own
    prefix = "+".join(name)
    for damaged in (text[:-9], f"{prefix}+00000000+{body}", "", text.replace("+A", "+B", 1)):
        path.write_text(damaged)
        with pytest.raises((IntegrityError, InvalidError)) as caught:
            HomeNotary(tmp_path).key()
        assert body[10:30] not in str(caught.value.to_dict())
    assert hashed


def test_processes_that_start_at_once_agree_on_one_key(tmp_path):
    keys: list[str] = []

    def start() -> None:
        keys.append(HomeNotary(tmp_path / "keys").key())

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 8 and len(set(keys)) == 1
    assert os.listdir(tmp_path / "keys") == ["log.key"]


@pytest.fixture(params=["local", "memory"])
def files(request):
    return LocalFiles() if request.param == "local" else MemoryFiles()


def test_files_are_written_whole_read_back_and_appended_to(files, tmp_path):
    path = str(tmp_path / "a" / "b.txt")
    assert files.read(path) is None
    files.write(path, b"one")
    files.write(path, b"two")
    files.append(path, b"+three")
    assert files.read(path) == b"two+three"
    files.append(str(tmp_path / "new"), b"x")
    assert files.read(str(tmp_path / "new")) == b"x"


def test_a_failing_disk_is_told_plainly_and_leaves_no_draft(tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(UnavailableError) as caught:
        LocalFiles().write(str(tmp_path / "file" / "below"), b"y")
    assert caught.value.code == "file.failed" and caught.value.hint
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(UnavailableError):
        LocalFiles().write(str(folder), b"y")
    assert sorted(path.name for path in Path(tmp_path).iterdir()) == ["file", "folder"]
