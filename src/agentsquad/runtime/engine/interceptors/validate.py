"""Validate: the input becomes the action's own type, or the caller is told what
is wrong with it."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

import msgspec

from agentsquad.kernel.errors import InvalidError
from agentsquad.runtime.engine.door import Proceed, Step, World


def validate(world: World, step: Step, proceed: Proceed) -> Awaitable[Any]:
    """Convert the plain input to the action's input type."""
    expected = step.action.spec.input
    if expected is Any:
        step.value = step.input
    else:
        if isinstance(step.input, msgspec.Struct):
            step.input = msgspec.to_builtins(step.input, str_keys=True)
        value = {} if step.input is None and _is_struct(expected) else step.input
        try:
            step.value = msgspec.convert(value, expected, strict=False)
        except msgspec.ValidationError as error:
            raise InvalidError(
                f"input of {step.action.name}: {error}",
                code="action.input",
                hint="the command's --help says what it takes",
                details={"action": step.action.name},
            ) from error
    return proceed(step)


def _is_struct(expected: Any) -> bool:
    return isinstance(expected, type) and issubclass(expected, msgspec.Struct)
