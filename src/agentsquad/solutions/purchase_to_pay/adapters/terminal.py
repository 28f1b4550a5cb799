"""The person at the terminal: shows a question and reads the answer."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

from agentsquad.solutions.purchase_to_pay.contract import Verdict


class TerminalApprover:
    """Asks on standard error, so that standard output stays the result."""

    def present(self) -> bool:
        """Whether both ends are a terminal."""
        return sys.stdin.isatty() and sys.stderr.isatty()

    async def ask(self, text: str, people: Sequence[str]) -> Verdict | None:
        """Show a question; anything but y or n leaves it to the inbox."""
        sys.stderr.write(f"\n{text}\n")
        answer = await _line(f"approve as {people[0]}? [y]es, [n]o, [Enter] later: ")
        if answer.lower() not in ("y", "yes", "n", "no"):
            return None
        reason = await _line("reason: ")
        approve = answer.lower().startswith("y")
        return Verdict(
            approve=approve,
            approver=people[0],
            reason=reason or ("approved at the prompt" if approve else "refused at the prompt"),
        )


async def _line(prompt: str) -> str:
    sys.stderr.write(prompt)
    sys.stderr.flush()
    text: str = await asyncio.to_thread(sys.stdin.readline)
    return text.strip()
