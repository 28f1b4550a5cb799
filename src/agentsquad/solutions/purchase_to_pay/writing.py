"""Writes to the vendor about what is not paid.

Part of the case's workflow: pure besides its context.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentsquad.kernel.errors import SquadError
from agentsquad.kernel.money import Money
from agentsquad.runtime.engine.contract import WorkflowContext
from agentsquad.solutions.purchase_to_pay.actions import (
    LetterInput,
)
from agentsquad.solutions.purchase_to_pay.casework import (
    CaseInput,
    Work,
)
from agentsquad.solutions.purchase_to_pay.letter import (
    brief,
    compose,
    draft,
    letter_facts,
    problems,
    worth_writing,
)
from agentsquad.solutions.purchase_to_pay.settlement import (
    Settlement,
)


async def write_letter(
    ctx: WorkflowContext, value: CaseInput, work: Work, settlement: Settlement
) -> list[str]:
    """Write to the vendor about what is not paid; a draft that states anything
    else is replaced by the plain one."""
    case, vendor = value.case, value.vendor
    points = worth_writing(work.exceptions)
    if vendor is None or not points:
        return []
    amounts = {
        f"not paid ({currency})": f"{Money(micros, currency).decimal()} {currency}"
        for currency, micros in sorted(settlement.held.items())
    }
    facts = letter_facts(vendor.name, case.po, points, amounts)
    written = await ctx.call(
        "p2p.write_letter",
        LetterInput(
            name=f"{case.key}.txt",
            vendor=vendor.key,
            subject=f"Our order {case.po}",
            body=compose(await _opening(ctx, value, facts, work), facts),
        ),
    )
    return list(written.documents)


async def _opening(
    ctx: WorkflowContext, value: CaseInput, facts: Mapping[str, Any], work: Work
) -> str:
    """Let the drafter word the opening; what fails its check, or never comes,
    is replaced by the rule's words."""
    given = brief(facts)
    try:
        answer = await ctx.agent(value.drafter, given, task="Write the opening sentence.")
        wrong = problems(answer)
    except SquadError as error:
        answer, wrong = {}, [f"the drafter failed: {error.message}"]
    if not wrong:
        return str(answer["opening"])
    work.notes.append(f"draft replaced: {'; '.join(wrong[:3])}")
    return draft(given)["opening"]
