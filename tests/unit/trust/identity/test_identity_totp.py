from __future__ import annotations

import base64

import pytest

from agentsquad.trust.identity.adapters.pyotp_codes import PyotpCodes
from agentsquad.trust.identity.totp import DIGITS, fitting_step, step_at

SECRET = base64.b32encode(b"12345678901234567890").decode()


@pytest.mark.parametrize(
    ("second", "code"),
    [
        (59, "94287082"),
        (1111111109, "07081804"),
        (1111111111, "14050471"),
        (1234567890, "89005924"),
        (2000000000, "69279037"),
        (20000000000, "65353130"),
    ],
)
def test_the_codes_are_those_of_rfc_6238(second, code):
    # Appendix B shows eight digits; six are the last six of them.
    step = step_at(second * 1000)
    assert PyotpCodes().code(SECRET, step) == code[-DIGITS:]
    assert (
        fitting_step(code[-DIGITS:], second * 1000, 0, lambda n: PyotpCodes().code(SECRET, n))
        == step
    )


@pytest.mark.parametrize("given", ["", "abc", "94287 ", "٠١٢٣٤٥", "\ud800", "1" * 100])
def test_what_is_no_code_fits_nothing(given):
    assert fitting_step(given, 59_000, 0, lambda n: PyotpCodes().code(SECRET, n)) is None
