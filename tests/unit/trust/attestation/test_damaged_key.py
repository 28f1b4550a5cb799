"""A damaged signing key is refused by name and never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentsquad.trust.attestation.adapters.ed25519 import HomeNotary
from agentsquad.trust.attestation.contract import KeyUnsafeError


@pytest.mark.parametrize("at", [0, 20, 60, 100])
def test_a_flipped_bit_of_the_key_is_a_typed_error_without_the_secret(tmp_path: Path, at: int):
    HomeNotary(tmp_path).key()
    path = tmp_path / "log.key"
    data = bytearray(path.read_bytes())
    data[at] ^= 0x80
    path.write_bytes(data)
    with pytest.raises(KeyUnsafeError) as refused:
        HomeNotary(tmp_path).key()
    error: BaseException | None = refused.value
    while error is not None:
        assert data[90:].decode("ascii", "replace").strip() not in str(error)
        error = error.__cause__
