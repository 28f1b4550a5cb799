"""How a question that waits for a person is answered: the line to type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agentsquad.surfaces.cli.layout import Page

LINES_MAX = 10


def answer_line(item: str, people: Sequence[str] = ()) -> str:
    """Return the command that answers a question."""
    return f"  squad approve {item} --reason '…' --as {people[0] if people else 'WHO'}"


def waiting(questions: Sequence[Mapping[str, Any]], page: Page) -> None:
    """Lay out questions in short, each with the line that answers it."""
    page.title("waits for a person")
    for one in questions[:LINES_MAX]:
        people = one.get("people") or ()
        who = ", ".join(people or one.get("roles") or ()) or "anyone but the requester"
        page.line(f"  {one['because']}; {one['action']} may be answered by: {who}")
        page.line(answer_line(one["id"], people), "bold")
    page.line()
    more = len(questions) - LINES_MAX
    rest = f"{more} more; " if more > 0 else ""
    page.line(f"{rest}squad inbox shows them whole, squad reject refuses", "dim")
