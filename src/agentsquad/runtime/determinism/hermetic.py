"""Running a pure action with nothing to hold on to: no port, no clock, no
chance.

An action that claims to be pure and reaches for anything is found out here.
"""

from __future__ import annotations

from typing import Any, NoReturn

import msgspec

from agentsquad.kernel.action import Action
from agentsquad.kernel.actor import SYSTEM, Actor
from agentsquad.kernel.errors import BugError, SquadError
from agentsquad.kernel.ports import BlobStore
from agentsquad.runtime.engine.decider import plain


class NotPureError(BugError):
    """An action that calls itself pure reached for the world."""

    code = "action.not_pure"


class SealedContext:
    """The Context of a pure action: everything it might ask for is refused."""

    actor: Actor = SYSTEM
    run_id: str | None = None
    idempotency_key = ""

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise NotPureError(hint="declare its effect as read, or take what it needs as input")

    now_ms = token = call = meter = _refuse

    def __init__(self, blobs: BlobStore | None = None) -> None:
        self._blobs = blobs

    def port(self, role: Any) -> Any:
        """Return the blobs, which their content names; refuse the rest."""
        if role is BlobStore and self._blobs is not None:
            return self._blobs
        self._refuse()

    def progress(self, text: str, *, done: int | None = None, total: int | None = None) -> None:
        """Nobody watches a replay."""


async def recompute(
    action: Action, value: Any, blobs: BlobStore | None = None
) -> tuple[Any, SquadError | None]:
    """Run a pure action on recorded input; return its plain output or its
    error."""
    expected = action.spec.input
    try:
        typed = value if expected is Any else msgspec.convert(value, expected, strict=False)
        output = action.fn(SealedContext(blobs), typed)
        if action.is_async:
            output = await output
    except msgspec.ValidationError as error:
        return None, BugError(f"{action.name} no longer takes what was recorded: {error}")
    except SquadError as error:
        return None, error
    except Exception as error:  # noqa: BLE001 - the action's own failure, as at the door
        return None, BugError(
            f"{action.name} failed: {type(error).__name__}: {error}", code="action.exception"
        )
    return plain(output), None
