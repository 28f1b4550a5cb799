"""Odd characters before an envelope's tags are findings with their place, never
a crash; found by `squad test purchase-to-pay`."""

from __future__ import annotations

import pytest

from agentsquad.integrations.formats.x12 import check

ISA = "ISA*00*          *00*          *ZZ*SENDER         *ZZ*RECEIVER       "
FILE = (
    f"{ISA}*260304*0830*U*00401*000000001*0*P*>~"
    "GS*PO*SENDER*RECEIVER*20260304*0830*1*X*004010~ST*850*0001~"
    "BEG*00*NE*4500210001**20260304~PO1*1*10*EA*2.00*PE*VP*A-1~CTT*1~SE*5*0001~"
    "GE*1*1~IEA*1*000000001~"
)


@pytest.mark.parametrize("blank", ["\v", "\f", "\v ", "\x1c", "\x85", "\u2003", "\0"])
@pytest.mark.parametrize("tag", ["GS", "ST", "PO1", "SE", "GE", "IEA"])
def test_an_odd_character_before_a_tag_is_said_and_never_crashes(tag, blank):
    odd = FILE.replace(f"{tag}*", f"{blank}{tag}*", 1)
    assert not check(FILE.encode()).findings
    for encoding in ("utf-8", "latin-1"):
        found = check(odd.encode(encoding, "replace"))
        assert found.findings, (tag, blank)


@pytest.mark.parametrize("tag", ["GS", "GE", "IEA"])
def test_blanks_that_line_breaks_leave_are_skipped_in_the_envelope(tag):
    for blank in (" ", "\t", "\r\n"):
        assert not check(FILE.replace(f"~{tag}*", f"~{blank}{tag}*", 1).encode()).findings
