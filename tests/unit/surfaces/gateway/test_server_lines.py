"""The log of the server's process: what a line says, and what cannot be
slipped into one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agentsquad.kernel.errors import UnavailableError
from agentsquad.surfaces.gateway.plugin import measures
from agentsquad.testing import ManualClock

NASTY = 'x\n2026-11-24T00:00:00.000Z login ok actor="person:root"\r\x1b[31m " '
SCOPE = {
    "method": "POST", "path": "/v1/actions/shop.pay", "client": ("192.0.2.7", 5), "headers": [],
    "squad.actor": "person:ada",
}  # fmt: skip


class Known:
    """A call whose action and caller are what they are."""

    def __init__(self, action: str) -> None:
        self.action, self.caller, self.value = action, self, {"password": "hunter2"}
        self.surface = "rest"


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


def test_a_line_says_when_who_where_and_what_and_never_with_which_input(
    capsys: pytest.CaptureFixture[str],
) -> None:
    made = measures(ManualClock(), "json", None)
    made.answered(SCOPE, 403, 1.26, "n-7")
    [line] = lines(capsys)
    told = json.loads(line)
    assert told["at"].endswith("Z") and "T" in told["at"]
    assert (told["event"], told["actor"], told["address"]) == ("request", "person:ada", "192.0.2.7")
    assert (told["method"], told["status"], told["request"]) == ("POST", 403, "n-7")


@pytest.mark.parametrize("form", ["text", "json"])
def test_what_others_write_is_never_a_line_of_its_own(
    capsys: pytest.CaptureFixture[str], form: str
) -> None:
    made = measures(ManualClock(), form, None)
    made.line("request", actor=NASTY, route=NASTY)
    made.answered({**SCOPE, "method": "GE\nT", "squad.actor": NASTY}, 200, 1.0, NASTY)
    found = lines(capsys)
    assert len(found) == 2
    for line in found:
        assert line.isprintable()
        assert line.startswith("{") is (form == "json")


def test_why_something_outside_failed_goes_to_the_log_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    error = UnavailableError("the bank does not answer", private="CERTIFICATE_VERIFY_FAILED")
    made = measures(ManualClock(), "text", None)
    call: Any = Known("shop.pay")
    made.called(call, 3.0, error)
    [line] = lines(capsys)
    assert "CERTIFICATE_VERIFY_FAILED" in line and "hunter2" not in line
    assert "CERTIFICATE" not in str(error.to_dict())


def test_methods_that_somebody_makes_up_are_one_measure() -> None:
    made = measures(ManualClock(), "json", None)
    for word in ("GET", "AAAA", "AAAB", "BREW"):
        made.answered({**SCOPE, "method": word}, 405, 1.0, "n-7")
    counted = [one for one in made.exposition().decode().splitlines()
               if one.startswith("squad_http_requests_total{")]  # fmt: skip
    assert len(counted) == 2 and any('method="OTHER"' in one for one in counted)
