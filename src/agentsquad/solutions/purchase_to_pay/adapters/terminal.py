"""The person at the terminal: shows a question and reads the answer."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

from agentsquad.solutions.purchase_to_pay.contract import Verdict

_YES = ("y", "yes")
_NO = ("n", "no")
_LATER = ("", "l", "later")
_CLEAR = "\r\x1b[K"  # of a line of progress that stands where the question goes


class TerminalApprover:
    """Asks on standard error, so that standard output stays the result."""

    def present(self) -> bool:
        """Whether both ends are a terminal."""
        return sys.stdin.isatty() and sys.stderr.isatty()

    async def ask(self, text: str, people: Sequence[str]) -> Verdict | None:
        """Show a question until the answer is yes, no or later.

        The end of the input (Ctrl-D) is later too.
        """
        if sys.stderr.isatty():
            sys.stderr.write(_CLEAR)
        sys.stderr.write(f"\n{text}\n")
        prompt = f"approve as {people[0]}? [y]es, [n]o, [Enter] later: "
        while (answer := await _line(prompt)) is not None:
            word = answer.lower()
            if word in _LATER:
                return None
            if word in (*_YES, *_NO):
                return await _reasoned(word in _YES, people[0])
            sys.stderr.write("please answer y, n or Enter\n")
        return None


async def _reasoned(approve: bool, approver: str) -> Verdict | None:
    """Ask why; an answer broken off here is none."""
    reason = await _line("reason: ")
    if reason is None:
        return None
    usual = "approved at the prompt" if approve else "refused at the prompt"
    return Verdict(approve=approve, approver=approver, reason=reason or usual)


async def _line(prompt: str) -> str | None:
    """Return one line, None at the end of the input."""
    sys.stderr.write(prompt)
    sys.stderr.flush()
    text: str = await asyncio.to_thread(sys.stdin.readline)
    if not text:
        sys.stderr.write("\n")
        return None
    return text.strip()
