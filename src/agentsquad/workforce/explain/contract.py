"""What others may know of explanations."""

from __future__ import annotations

from typing import Any

import msgspec

from agentsquad.kernel.errors import ConflictError, MissingError


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """One step without which it would have come out differently.

    `because` is what the step itself said; `shown_by` is the change of its
    output that, when the run was driven again, changed the answer.
    """

    event: int
    position: str
    name: str
    because: str
    shown_by: str


class Counterfactual(msgspec.Struct, frozen=True, kw_only=True):
    """A change of the run's input that was re-run and gave another answer."""

    path: str
    was: Any
    needed: Any
    then: str
    money: dict[str, dict[str, str]] = {}
    text: str = ""


class ByHand(msgspec.Struct, frozen=True, kw_only=True):
    """Something a person did to a run: what, to which step, asked by whom and
    why, and who approved it."""

    event: int
    run: str
    step: str
    means: str
    by: str
    approver: str
    reason: str


class Why(msgspec.Struct, frozen=True, kw_only=True):
    """The answer in one line, what it rests on, and the smallest change that
    flips it.

    `checked` is how many times the run was driven again; every cause and every
    counterfactual is one of those, none is only inferred.
    """

    answer: str
    run: str
    document: str | None
    verdict: str
    causes: list[Cause]
    flip: Counterfactual | None
    others: list[Counterfactual]
    checked: int
    exhausted: bool
    by_hand: list[ByHand] = []


class DocumentMissingError(MissingError):
    """No run knows this document."""

    code = "why.missing"


class ContinuedError(ConflictError):
    """The run went on as new: the last of its row is what came to something."""

    code = "why.continued"


class UnexplainableError(ConflictError):
    """The recording lacks what an explanation would need."""

    code = "why.incomplete"
