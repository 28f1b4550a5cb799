from __future__ import annotations

import concurrent.futures
import stat

import pytest

from agentsquad.testing.entropy import SeededEntropy
from agentsquad.trust.identity.adapters.home_key import HomeSealer, KeySealer
from agentsquad.trust.identity.contract import HomeKeyError, HomeKeyUnsafeError


def test_what_is_sealed_opens_for_its_own_purpose_only():
    sealer = KeySealer(b"k" * 32)
    box = sealer.seal("password/person:ada", b"secret")
    assert sealer.unseal("password/person:ada", box) == b"secret"
    assert sealer.unseal("password/person:bob", box) is None
    assert KeySealer(b"j" * 32).unseal("password/person:ada", box) is None
    other = "B" if box[0] == "A" else "A"
    for spoiled in (box[:-2], other + box[1:], box + "=", "", "é", "*" * 40):
        assert sealer.unseal("password/person:ada", spoiled) is None
    assert sealer.seal("a", b"x") != sealer.seal("a", b"x")


def test_a_mark_is_the_same_for_the_same_data_under_the_same_key():
    sealer = KeySealer(b"k" * 32)
    assert sealer.mark("a", b"x") == sealer.mark("a", b"x")
    marks = {
        sealer.mark("a", b"x"), sealer.mark("b", b"x"), sealer.mark("a", b"y"),
        KeySealer(b"j" * 32).mark("a", b"x"),
    }  # fmt: skip
    assert len(marks) == 4


def test_the_key_is_made_once_and_only_its_owner_may_read_it(tmp_path):
    path = tmp_path / "keys" / "identity.key"
    box = HomeSealer(path).seal("a", b"x")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert HomeSealer(path).unseal("a", box) == b"x"
    assert [one.name for one in path.parent.iterdir()] == ["identity.key"]


def test_processes_that_make_it_at_the_same_time_use_the_same(tmp_path):
    path = tmp_path / "identity.key"
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        sealers = [HomeSealer(path) for _ in range(8)]
        boxes = list(pool.map(lambda one: one.seal("a", b"x"), sealers))
    assert all(HomeSealer(path).unseal("a", box) == b"x" for box in boxes)


def test_a_key_that_others_can_read_is_refused(tmp_path):
    path = tmp_path / "identity.key"
    HomeSealer(path).seal("a", b"x")
    path.chmod(0o644)
    with pytest.raises(HomeKeyUnsafeError):
        HomeSealer(path).seal("a", b"x")


@pytest.mark.parametrize("text", ["", "AAAA", "not base64!", "é"])
def test_a_damaged_key_is_not_used(tmp_path, text):
    path = tmp_path / "identity.key"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(HomeKeyError):
        HomeSealer(path).seal("a", b"x")


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(HomeKeyError):
        HomeSealer(tmp_path / "file" / "identity.key").seal("a", b"x")


def test_chance_may_be_given_for_tests_that_repeat():
    one, other = (KeySealer(b"k" * 32, SeededEntropy()) for _ in range(2))
    assert one.seal("a", b"x") == other.seal("a", b"x")
