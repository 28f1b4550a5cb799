"""Proofs: evidence of a run or an event, for somebody who trusts nobody here.

A number is proven by its place in the log, in JSON; a run by a case, a file
that holds what verifies it.
"""

from __future__ import annotations

from agentsquad.surfaces.rest.asked import Asked
from agentsquad.surfaces.rest.calls import carried, replied
from agentsquad.surfaces.rest.reply import Reply

EVENT, CASE = "log.prove", "attest.prove"
ZIP = "application/zip"


async def prove(asked: Asked) -> Reply:
    """Prove a run, or an event by its number."""
    subject = asked.path["subject"]
    if subject.isascii() and subject.isdigit():
        operation = asked.gateway.operation(EVENT)
        value = asked.parameters(operation, {"seq": subject})
        return replied(asked, operation, await carried(asked, operation, value))
    operation = asked.gateway.operation(CASE)
    name = "".join(letter for letter in subject if letter.isalnum())[:60] or "case"
    value = asked.parameters(operation, {"subject": subject, "out": f"{name}.zip"})
    answer = await carried(asked, operation, value)
    if not answer.files:
        return replied(asked, operation, answer)
    file = answer.files[0]
    disposition = f'attachment; filename="{name}.zip"'
    return Reply(data=file.data, media_type=ZIP, headers={"Content-Disposition": disposition})
