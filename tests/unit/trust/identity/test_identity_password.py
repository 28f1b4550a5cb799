from __future__ import annotations

import pytest

from agentsquad.trust.identity.contract import PasswordWeakError
from agentsquad.trust.identity.password import check, weakness


@pytest.mark.parametrize(
    "password",
    [
        "short",
        "Password1234!",
        "P@ssw0rd2026!",
        "qwertyuiop12",
        "123456789012",
        "aaaaaaaaaaaaaaa",
        "abcabcabcabcabc",
        "adalovelace1",
        "Welcome2026!!",
        "letmeinletmein",
        "0987654321qwerty",
        "Summer2026!!",
        "adminadmin123",
        "x" * 300,
        "tab\tin the middle of it",
        "1qaz2wsx3edc",
    ],
)
def test_what_a_guesser_tries_first_is_refused(password):
    with pytest.raises(PasswordWeakError):
        check(password, "ada", "Ada Lovelace", "ada@example.com")


@pytest.mark.parametrize(
    "password",
    [
        "plum tractor quietly 7 boats",
        "kZ8#vq1LxW0e",
        "viele Wörter über Äpfel",
        "雨が降ると川の水が増えて橋が見えない",
        "jVxmw9-tkqbd-82hfz",
        "tortoise lamps in a quiet harbour " * 2 + "and other long things that nobody told us",
    ],
)
def test_what_is_long_and_unlike_anything_common_is_taken(password):
    assert weakness(password, "ada", "Ada Lovelace", "ada@example.com") is None


def test_the_same_password_is_good_for_one_name_and_not_for_another():
    assert weakness("grusinskaya99", "ada") is None
    assert weakness("grusinskaya99", "grusinskaya") is not None
