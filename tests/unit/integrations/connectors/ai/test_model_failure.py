"""What providers say when they say no."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentsquad.integrations.connectors.ai.contract import (
    ModelAuthenticationError,
    ModelLimitError,
    ModelQuotaError,
    ModelRefusedError,
    ModelUnavailableError,
    Secret,
)
from agentsquad.integrations.connectors.ai.failure import (
    TEXT_MAX,
    Failure,
    classify,
    error_of,
    retry_after_ms,
    scrub,
)
from agentsquad.kernel.errors import SquadError


def test_no_credit_is_not_a_limit_to_wait_for() -> None:
    body = {"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}}
    failure = Failure(provider="p", status=429, body=json.dumps(body).encode())
    error = error_of(failure, now_ms=0)
    assert isinstance(error, ModelQuotaError)
    assert error.details == {"provider": "p", "status": 429, "vendor_code": "insufficient_quota"}


@pytest.mark.parametrize(
    ("status", "header", "expected"),
    [
        (400, "ThrottlingException:http://x", ModelLimitError),
        (403, "UnrecognizedClientException", ModelAuthenticationError),
        (424, "ModelErrorException", ModelUnavailableError),
        (400, "ValidationException", ModelRefusedError),
        (429, "ModelNotReadyException", ModelUnavailableError),
    ],
)
def test_aws_names_its_errors_in_a_header(
    status: int, header: str, expected: type[SquadError]
) -> None:
    failure = Failure(provider="p", status=status, headers={"x-amzn-errortype": header})
    assert type(error_of(failure, now_ms=0)) is expected


def test_a_vague_type_does_not_overrule_the_status() -> None:
    assert classify(503, "invalid_request_error") is ModelUnavailableError
    assert classify(400, "api_error") is ModelRefusedError
    assert classify(None, "something new") is ModelUnavailableError


@given(st.integers(100, 999), st.none() | st.text(max_size=30), st.binary(max_size=80))
def test_any_status_code_and_body_becomes_one_of_our_errors(
    status: int, code: str | None, body: bytes
) -> None:
    failure = Failure(provider="p", status=status, code=code, body=body)
    error = error_of(failure, now_ms=0, secrets=[Secret("s3cret-value")])
    assert isinstance(error, SquadError)
    assert len(error.message) < TEXT_MAX + 60


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "2"}, 2000),
        ({"retry-after": "0.5"}, 500),
        ({"retry-after-ms": "120", "retry-after": "2"}, 120),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:05 GMT"}, 5000),
        ({"retry-after": "Wed, 21 Oct 2020 07:28:05 GMT"}, 0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "inf"}, None),
    ],
)
def test_waits_are_read_in_every_form(headers: dict[str, str], expected: int | None) -> None:
    assert retry_after_ms(headers, 1_792_567_680_000) == expected


def test_secrets_and_things_like_keys_are_taken_out() -> None:
    said = scrub(
        "key Bearer tok-12 and sk-abcdefghijklmnop\nAKIAIOSFODNN7EXAMPLE", [Secret("Bearer tok-12")]
    )
    assert said == "key … and … …"
    assert scrub("only tok-12", [Secret("Bearer tok-12")]) == "only …"
    assert len(scrub("x" * 5000)) == TEXT_MAX


def test_a_secret_never_prints_and_is_never_written() -> None:
    import pickle

    secret = Secret("hush")
    assert "hush" not in f"{secret} {secret!r} {[secret]}"
    with pytest.raises(TypeError):
        pickle.dumps(secret)
