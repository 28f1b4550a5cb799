"""Signed notes against the published keys and notes of other
implementations.
"""

from __future__ import annotations

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from agentsquad.kernel.errors import IntegrityError, InvalidError
from agentsquad.runtime.ledger import note
from agentsquad.runtime.ledger.note import Note, SignerKey, VerifierKey

# Keys and notes from the tests of Go's checksum database client
# (golang.org/x/mod/sumdb/note).
GO_TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETER_SECRET = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
PETER_LINE = (
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpR"
    "Zb6KE6RyyBwJnAM=\n"
)
ENOCH = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
ENOCH_LINE = (
    "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33"
    "WWd1RvMc+QQ=\n"
)
# The example of the signed-note specification.
EXAMPLE = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
EXAMPLE_NOTE = (
    "This is an example message.\n\n"
    "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKu"
    "wHjG1Yu72IneyaQM=\n"
)


def check(key: VerifierKey, message: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


class Peter:
    key = VerifierKey.parse(PETER)

    def sign(self, message: bytes) -> bytes:
        secret = SignerKey.parse(PETER_SECRET).secret
        return Ed25519PrivateKey.from_private_bytes(secret).sign(message)


def opened(data: str, *keys: str) -> list[str]:
    result = note.open_note(data.encode(), [VerifierKey.parse(key) for key in keys], check)
    return [signature.name for signature in result.signatures]


@pytest.mark.parametrize("text", [PETER, ENOCH, EXAMPLE])
def test_published_verifier_keys_read_and_write_back_unchanged(text):
    assert VerifierKey.parse(text).encode() == text


def test_the_published_signer_key_reads_and_writes_back_and_hides_in_its_repr():
    key = SignerKey.parse(PETER_SECRET)
    assert key.encode() == PETER_SECRET
    assert "gQoUAtU" not in repr(key) and str(key.secret) not in repr(key)


def test_signing_gives_the_published_note_byte_for_byte():
    assert note.sign(GO_TEXT, Peter()).encode().decode() == f"{GO_TEXT}\n{PETER_LINE}"


def test_the_specifications_example_verifies():
    assert opened(EXAMPLE_NOTE, EXAMPLE) == ["example.com/foo"]


def test_a_note_with_two_signatures_counts_only_the_known_keys():
    data = f"{GO_TEXT}\n{PETER_LINE}{ENOCH_LINE}"
    assert opened(data, PETER) == ["PeterNeumann"]
    assert opened(data, ENOCH) == ["EnochRoot"]
    assert opened(data, PETER, ENOCH) == ["PeterNeumann", "EnochRoot"]
    assert opened(f"{GO_TEXT}\n{PETER_LINE}{PETER_LINE}", PETER) == ["PeterNeumann"]


def test_a_note_nobody_known_signed_is_refused():
    for keys in ((), (EXAMPLE,)):
        with pytest.raises(IntegrityError) as caught:
            opened(f"{GO_TEXT}\n{PETER_LINE}", *keys)
        assert caught.value.code == "note.unverified"


def test_a_wrong_signature_by_a_known_key_refuses_the_whole_note():
    for data in (
        f"{GO_TEXT}\n{PETER_LINE}".replace("answer", "Answer"),
        f"{GO_TEXT}\n{PETER_LINE[:60]}ABCD{PETER_LINE[60:]}",
        f"{GO_TEXT}\n{ENOCH_LINE}{PETER_LINE.replace('NIuG', 'NIuH')}",
    ):
        with pytest.raises(IntegrityError) as caught:
            opened(data, PETER, ENOCH)
        assert caught.value.code == "note.signature"


@pytest.mark.parametrize(
    "data",
    [
        GO_TEXT,
        GO_TEXT + "\n",
        f"{GO_TEXT}\n{PETER_LINE[:-1]}",
        f"\x01{GO_TEXT}\n{PETER_LINE}",
        f"{GO_TEXT}\r\n\n{PETER_LINE}",
        f"{GO_TEXT}\n{PETER_LINE.replace('PeterNeumann', 'Peter Neumann')}",
        f"{GO_TEXT}\n{PETER_LINE.replace('PeterNeumann', 'Peter+Neumann')}",
        f"{GO_TEXT}\n{PETER_LINE}Unexpected line.\n",
        f"{GO_TEXT}\n— PeterNeumann AAAA\n",
        f"{GO_TEXT}\n" + PETER_LINE * 101,
        "x" * 1_000_001,
    ],
)
def test_what_is_not_a_note_is_refused(data):
    with pytest.raises(InvalidError) as caught:
        opened(data, PETER)
    assert caught.value.code == "note.malformed"


def test_bytes_that_are_not_utf8_are_refused():
    with pytest.raises(InvalidError):
        note.parse(b"\xff" + f"{GO_TEXT}\n{PETER_LINE}".encode())


def test_no_part_of_a_verifier_key_passes_for_a_key():
    for start in range(len(PETER)):
        for end in range(start, len(PETER) + 1):
            if PETER[start:end] != PETER:
                with pytest.raises(InvalidError):
                    VerifierKey.parse(PETER[start:end])


def test_no_changed_byte_of_a_verifier_key_passes_for_a_key():
    for place in range(len(PETER)):
        changed = PETER[:place] + chr(ord(PETER[place]) + 1) + PETER[place + 1 :]
        with pytest.raises(InvalidError):
            VerifierKey.parse(changed)


@pytest.mark.parametrize(
    "text",
    [
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",
        "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEK",
        "+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "Peter\u2003Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "",
    ],
)
def test_odd_verifier_keys_are_refused(text):
    with pytest.raises(InvalidError) as caught:
        VerifierKey.parse(text)
    assert caught.value.code == "note.key"


def test_a_broken_signer_key_is_refused_without_showing_it():
    with pytest.raises(InvalidError) as caught:
        SignerKey.parse(PETER_SECRET[12:])
    assert "AYEK" not in caught.value.message + str(caught.value.details)


def test_a_text_without_final_newline_or_with_control_characters_is_not_signed():
    for text in ("abc", "a\tb\n", ""):
        with pytest.raises(InvalidError):
            note.sign(text, Peter())


def test_the_text_may_hold_empty_lines_and_the_last_one_separates():
    text = "one\n\n\ntwo\n"
    data = note.sign(text, Peter()).encode()
    assert note.parse(data).text == text
    assert note.parse(data) == Note(text, note.parse(data).signatures)
    assert note.parse(data).encode() == data
