from __future__ import annotations

import re
from pathlib import Path

from agentsquad.solutions.purchase_to_pay.plugin import policies

PAGE = Path(__file__).parents[4] / "docs" / "reference" / "p2p-exceptions.md"
SOURCE = Path(__file__).parents[4] / "src" / "agentsquad" / "solutions" / "purchase_to_pay"


def test_every_kind_of_exception_is_documented_and_no_other() -> None:
    names = ("intake.py", "workflow.py", "case_workflow.py", "judging.py", "paying.py")
    code = "\n".join((SOURCE / name).read_text() for name in names)
    ruled = {k for text in policies().values() for k in re.findall(r'mark\("(\w+)"', text)}
    coded = set(re.findall(r'kind(?:: str)? ?= ?"(\w+)"', code))
    coded |= set(re.findall(r'_unpaid\(case, "(\w+)"', code))
    coded = (coded | {"bad_control_totals", "invalid_document"}) - {"ta1"}
    documented = set(re.findall(r"^\| `(\w+)`", PAGE.read_text(), re.MULTILINE))
    assert documented == ruled | coded
