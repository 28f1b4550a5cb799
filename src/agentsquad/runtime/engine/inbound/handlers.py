"""Handlers: what a workflow answers queries and updates with.

Pure. A query and a validator look and do nothing else. They are asked of a copy
of the run that is thrown away, so that one that changes something harms nobody;
where that can be seen it is refused, since the next copy would not know of it.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from typing import Any

import msgspec

from agentsquad.kernel.errors import InvalidError, SquadError
from agentsquad.runtime.engine.inbound.contract import (
    QueryFailedError,
    QueryMutatesError,
    UpdateRefusedError,
)


class Handler(msgspec.Struct, frozen=True, kw_only=True):
    """A function of the workflow, the type it takes, and for an update what
    judges first."""

    name: str
    fn: Callable[..., Any]
    input: Any = Any
    arity: int = 1
    validator: Callable[..., Any] | None = None

    @classmethod
    def of(
        cls, name: str, fn: Callable[..., Any], validator: Callable[..., Any] | None = None
    ) -> Handler:
        """Return the handler a function makes; its annotation says what it
        takes, no parameter that it takes nothing."""
        params = list(inspect.signature(fn).parameters.values())
        if len(params) > 1 or (validator is not None and inspect.iscoroutinefunction(validator)):
            raise InvalidError(
                f"the handler of {name!r} must be written fn(value) or fn(), "
                "and its validator must not be async",
                code="handler.signature",
            )
        kind: Any = Any
        if params:
            try:
                kind = typing.get_type_hints(fn).get(params[0].name, Any)
            except NameError:  # a type that only the workflow's own function knows
                kind = Any
        return cls(name=name, fn=fn, input=kind, arity=len(params), validator=validator)

    def taken(self, value: Any) -> tuple[Any, ...]:
        """Return the arguments for a plain value; InvalidError when it does not
        fit."""
        if not self.arity:
            return ()
        if self.input is Any:
            return (value,)
        try:
            return (msgspec.convert(value, self.input, strict=False),)
        except msgspec.ValidationError as error:
            raise InvalidError(f"input of {self.name}: {error}", code="handler.input") from error

    def look(self, value: Any) -> Any:
        """Return what a query answers; it must neither wait nor change
        anything."""
        return self._looked(self.fn, value)

    def judge(self, value: Any) -> None:
        """Raise unless the update is taken; a validator refuses by raising, or
        by returning False."""
        given = self.taken(value)
        if self.validator is None:
            return
        try:
            said = self._looked(self.validator, value, given)
        except QueryFailedError as error:
            raise UpdateRefusedError(f"{self.name}: {error.details['error']}") from error
        if said is False:
            raise UpdateRefusedError(f"the run does not take {self.name} now")

    def _looked(
        self, fn: Callable[..., Any], value: Any, given: tuple[Any, ...] | None = None
    ) -> Any:
        args = self.taken(value) if given is None else given
        args = args[: len(inspect.signature(fn).parameters)]
        before = visible(fn)
        try:
            said = fn(*args)
        except SquadError:
            raise
        except Exception as error:
            raise QueryFailedError(
                f"{self.name} failed: {type(error).__name__}: {error}",
                details={"error": f"{type(error).__name__}: {error}"},
            ) from error
        if inspect.isawaitable(said):
            if inspect.iscoroutine(said):
                said.close()
            raise QueryMutatesError(f"{self.name} waits; a query only looks")
        if visible(fn) != before:
            raise QueryMutatesError(
                f"{self.name} changes what the run knows; a query only looks",
                hint="change it in an update, which is recorded",
            )
        return said

    async def run(self, value: Any) -> Any:
        """Carry out an update, as a branch of the run."""
        done = self.fn(*self.taken(value))
        return await done if inspect.isawaitable(done) else done


def visible(fn: Callable[..., Any]) -> bytes:
    """Return what a function can see of its workflow, to compare with later:
    what it closes over and what it is bound to."""
    seen: list[Any] = []
    for cell in getattr(fn, "__closure__", None) or ():
        try:
            seen.append(cell.cell_contents)
        except ValueError:  # not assigned yet
            seen.append(None)
    bound = getattr(fn, "__self__", None)
    seen.append(getattr(bound, "__dict__", None))
    try:
        return msgspec.json.encode([_shown(one) for one in seen])
    except (TypeError, ValueError, RecursionError):
        return b""  # it cannot be compared


def _shown(value: Any) -> Any:
    try:
        return msgspec.json.encode(value, enc_hook=_foreign, order="deterministic").decode()
    except (TypeError, ValueError, RecursionError):
        return _foreign(value)


def _foreign(value: Any) -> str:
    return f"{type(value).__name__}@{id(value)}"
