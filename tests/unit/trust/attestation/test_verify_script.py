"""The script's own arithmetic and formats, apart from any case."""

from __future__ import annotations

import subprocess
import sys

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from agentsquad.kernel import canonical
from agentsquad.trust.attestation import verify

RFC8032_PUBLIC = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
RFC8032_SIGNATURE = (
    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9"
    "b46bd25bf5f0595bbe24655141438e7a100b"
)
ORDER = 2**252 + 27742317777372353535851937790883648493


def test_the_rfcs_vector_verifies_and_no_changed_bit_of_it_does():
    public, signature = bytes.fromhex(RFC8032_PUBLIC), bytes.fromhex(RFC8032_SIGNATURE)
    assert verify.ed25519(public, b"", signature)
    for bit in range(0, 512, 7):
        changed = bytearray(signature)
        changed[bit // 8] ^= 1 << bit % 8
        assert not verify.ed25519(public, b"", bytes(changed))
    assert not verify.ed25519(public, b"x", signature)


def test_a_signature_with_the_group_order_added_is_refused():
    public, signature = bytes.fromhex(RFC8032_PUBLIC), bytes.fromhex(RFC8032_SIGNATURE)
    s = int.from_bytes(signature[32:], "little") + ORDER
    assert not verify.ed25519(public, b"", signature[:32] + s.to_bytes(32, "little"))
    assert not verify.ed25519(public, b"", signature + b"\0")


@pytest.mark.parametrize("public", ["ff" * 32, "02" + "00" * 31, "01" + "00" * 30 + "80"])
def test_what_is_no_point_of_the_curve_is_refused(public):
    with pytest.raises(ValueError, match="curve"):
        verify.ed25519(bytes.fromhex(public), b"", bytes(64))


@pytest.mark.slow
@given(seed=st.binary(min_size=32, max_size=32), message=st.binary(max_size=200))
def test_it_agrees_with_another_implementation_of_ed25519(seed, message):
    private = Ed25519PrivateKey.from_private_bytes(seed)
    public, signature = private.public_key().public_bytes_raw(), private.sign(message)
    assert verify.ed25519(public, message, signature)
    assert not verify.ed25519(public, message + b"\0", signature)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner)
    ),
    max_leaves=12,
)


@given(json_values)
def test_its_canonical_json_is_that_of_the_log(value):
    data = canonical.dumps(value)
    assert verify.canon(verify.parse(data)) == data


@pytest.mark.parametrize(
    "data", [b'{"b":1,"a":2}', b'{"a": 1}', b'{"a":1,"a":1}', b'"\\u0041"', b"[1,]", b"1 "]
)
def test_json_that_is_not_canonical_is_refused(data):
    with pytest.raises(ValueError):
        verify.parse(data)


def test_nonsense_ends_with_exit_1_and_one_line(tmp_path):
    (tmp_path / "x.zip").write_bytes(b"PK\x03\x04nonsense")
    for name in ("x.zip", "absent.zip"):
        command = [sys.executable, verify.__file__, str(tmp_path / name)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (1, "")
        assert done.stdout.startswith("NOT VERIFIED: ") and done.stdout.count("\n") == 1
