"""Checkpoints: the specification's example, a checkpoint of a real public log,
and refusals.
"""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from agentsquad.kernel.errors import InvalidError
from agentsquad.runtime.ledger import merkle, note
from agentsquad.runtime.ledger.checkpoint import Checkpoint, extends, split_witnessed

# A head of Go's public checksum database and its published key.
SUMDB_KEY = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
SUMDB_HEAD = (
    "go.sum database tree\n63096908\n8lHrQPRYe4KT4WQ9/Qk8/taKnD6IRHbFgfN7vQE2Y54=\n\n"
    "— sum.golang.org Az3gri/oVBN1jAhNZ/iS+W31psFAWRT20/GyrhpU6taFwulQGetBkH5S7wpGXdS935jiIGiUUAXB"
    "VHzT/P6fYhqAmAk=\n"
)
EXAMPLE = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"


def check(key: note.VerifierKey, message: bytes, signature: bytes) -> bool:
    Ed25519PublicKey.from_public_bytes(key.public).verify(signature, message)
    return True


def head(size: int, origin: str = "example.com/log") -> Checkpoint:
    return Checkpoint(origin, size, merkle.root_of(leaves(size)))


def leaves(count: int) -> list[bytes]:
    return [merkle.leaf_hash(b"%d" % number) for number in range(count)]


def test_the_specifications_example_reads_and_writes_back():
    checkpoint = Checkpoint.parse(EXAMPLE)
    assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20852163)
    assert checkpoint.text() == EXAMPLE


def test_a_head_of_a_real_public_log_verifies_under_its_published_key():
    opened = note.open_note(SUMDB_HEAD.encode(), [note.VerifierKey.parse(SUMDB_KEY)], check)
    checkpoint = Checkpoint.of(opened)
    assert (checkpoint.origin, checkpoint.size) == ("go.sum database tree", 63096908)


def test_extension_lines_are_kept():
    text = EXAMPLE + "one more\nand another\n"
    assert Checkpoint.parse(text).extensions == ("one more", "and another")
    assert Checkpoint.parse(text).text() == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "origin\n1\n",
        EXAMPLE[:-1],
        EXAMPLE + "\n",
        EXAMPLE.replace("20852163", "020852163"),
        EXAMPLE.replace("20852163", "-1"),
        EXAMPLE.replace("20852163", "1e3"),
        EXAMPLE.replace("20852163", "\u0661"),
        EXAMPLE.replace("CsUY", "CsU"),
        EXAMPLE.replace("q2I=", "q2J="),
        "\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
    ],
)
def test_what_is_not_a_checkpoint_is_refused(text):
    with pytest.raises(InvalidError) as caught:
        Checkpoint.parse(text)
    assert caught.value.code == "checkpoint.malformed"


def test_an_origin_that_would_smuggle_in_a_line_is_refused():
    with pytest.raises(InvalidError):
        Checkpoint("evil\n9", 1, b"\0" * 32).text()


def test_a_head_extends_an_older_one_only_with_the_right_proof_and_origin():
    source = merkle.Levels(leaves(20))
    proof = merkle.consistency_proof(7, 20, source)
    assert extends(head(20), head(7), proof)
    assert not extends(head(20), head(8), proof)
    assert not extends(head(20), head(7, "example.com/other"), proof)
    assert not extends(head(7), head(20), proof)
    assert not extends(head(20), head(7), proof[1:])


def test_a_witness_file_gives_back_its_heads_and_refuses_half_a_head():
    def signed(size: int) -> bytes:
        line = note.Signature("example.com/log", 1, b"x" * 64)
        return note.Note(head(size).text(), (line, line)).encode()

    data = b"".join(signed(size) + b"\n" for size in (3, 7))
    assert split_witnessed(b"") == []
    assert split_witnessed(data) == [signed(3), signed(7)]
    for cut in range(1, len(data)):
        if cut != len(signed(3)) + 1:
            with pytest.raises(InvalidError):
                split_witnessed(data[:cut])
    assert base64.b64encode(head(3).root) in data
