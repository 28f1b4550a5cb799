from __future__ import annotations

import hashlib

from agentsquad.kernel import hashing


def test_sha_256_gives_the_published_digest_of_abc() -> None:
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert hashing.sha256(b"abc").hex() == expected
    assert hashing.digest_bytes(b"abc") == "sha256:" + expected


def test_the_digest_of_a_value_is_that_of_its_canonical_json() -> None:
    assert hashing.digest({"b": 1.0, "a": [None]}) == hashing.digest_bytes(b'{"a":[null],"b":1}')
    assert hashing.digest({"a": 1, "b": 2}) == hashing.digest({"b": 2, "a": 1})


def test_a_commitment_is_the_digest_of_salt_then_data() -> None:
    salt, data = bytes(range(16)), b"4711"
    assert hashing.commit(salt, data) == "sha256:" + hashlib.sha256(salt + data).hexdigest()
    assert hashing.commit(salt, data) != hashing.commit(salt[::-1], data)
