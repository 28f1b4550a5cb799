from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from agentsquad.kernel.errors import InvalidError, MissingError
from agentsquad.trust.identity.adapters.argon2 import Argon2Hasher
from agentsquad.trust.identity.adapters.memory import GivenSecrets, QuickHasher
from agentsquad.trust.identity.adapters.terminal import TypedSecrets


@pytest.mark.slow
@pytest.mark.parametrize("make", [Argon2Hasher, QuickHasher])
async def test_a_hasher_knows_the_password_it_encoded_and_no_other(make):
    hasher = make()
    one, other = await hasher.encode("plum tractor"), await hasher.encode("plum tractor")
    assert one != other and "plum" not in one
    assert await hasher.check("plum tractor", one) and await hasher.check("plum tractor", other)
    assert not await hasher.check("plum tractors", one)
    assert not await hasher.check("", one)
    assert not await hasher.check("plum tractor", None)
    assert not await hasher.check("\ud800", one)
    assert not hasher.outdated(one)
    assert hasher.outdated("$argon2id$v=19$m=65,t=1,p=1$AAAA$AAAA")


@pytest.mark.slow
async def test_argon2_keeps_the_cost_that_owasp_asks_for():
    kept = await Argon2Hasher().encode("plum tractor")
    assert kept.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert not await Argon2Hasher().check("plum tractor", "nonsense")


def test_a_secret_is_the_first_line_of_a_file_or_of_the_standard_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "one").write_text("secret \r\nmore\n")
    assert TypedSecrets().read(str(tmp_path / "one"), "Password") == "secret "
    monkeypatch.setattr(sys, "stdin", io.StringIO("typed\n"))
    assert TypedSecrets().read("-", "Password") == "typed"


def test_at_a_terminal_it_is_asked_for_unseen(monkeypatch: pytest.MonkeyPatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    asked = []
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr("getpass.getpass", lambda text: asked.append(text) or "unseen")
    assert TypedSecrets().read("-", "Password for ada") == "unseen"
    assert asked == ["Password for ada: "]


def test_what_is_no_secret_is_told(tmp_path: Path):
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\n")
    for name, error in (("absent", MissingError), ("empty", InvalidError),
                        ("bytes", InvalidError), ("", InvalidError)):  # fmt: skip
        with pytest.raises(error):
            TypedSecrets().read(str(tmp_path / name), "Password")
    with pytest.raises(MissingError):
        GivenSecrets({}).read("absent", "Password")
