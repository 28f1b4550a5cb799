"""A tale: what a law is shown of one trial.

The story of the rehearsal with what was asked for, and the questions laws ask
most: what left, what people said, what was undone, what money moved.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from agentsquad.kernel.action import Effect
from agentsquad.kernel.errors import SquadError
from agentsquad.kernel.event import Event
from agentsquad.kernel.registry import Registry
from agentsquad.operations.trials.scenario import Scenario
from agentsquad.runtime.determinism.rehearsal import EffectLine, Story

QUIET = ("crash-before", "crash-after", "twice")  # faults that must change nothing


class Tale:
    """One trial, played. `refused` is the error with which the run was not even
    begun, else None."""

    def __init__(
        self,
        scenario: Scenario,
        story: Story | None,
        registry: Registry,
        *,
        refused: SquadError | None = None,
        silent: int = 0,
        adapters: Mapping[Any, Any] | None = None,
    ) -> None:
        self.scenario = scenario
        self.story = story
        self.registry = registry
        self.refused = refused
        self.silent = silent  # questions nobody answered
        self.adapters = adapters or {}
        self.calm: Tale | None = None  # the same without faults, where they must change nothing

    @property
    def input(self) -> Any:
        """The input of the run, plain JSON."""
        return self.scenario.input

    @property
    def world(self) -> Any:
        """What was generated beside the input."""
        return self.scenario.world

    @property
    def status(self) -> str:
        """completed, failed, cancelled, waiting, stuck; refused when it was not
        begun."""
        return "refused" if self.story is None else self.story.status

    @property
    def output(self) -> Any:
        """The run's output, plain JSON."""
        return None if self.story is None else self.story.output

    @property
    def error(self) -> Any:
        """The error the run failed with, as recorded."""
        if self.story is None:
            return None if self.refused is None else self.refused.to_dict()
        return self.story.error

    @cached_property
    def events(self) -> tuple[Event, ...]:
        """The events of the run and all below it, in order."""
        every = () if self.story is None else self.story.events
        return tuple(event for event in every if event.stream.startswith("run/"))

    def of(self, *types: str) -> Iterator[Event]:
        """Yield the events of some types."""
        return (event for event in self.events if event.type in types)

    def effects(self, action: str | None = None) -> list[EffectLine]:
        """Return the effects that took place at the other side."""
        lines = () if self.story is None else self.story.effects.values()
        return [
            line
            for line in lines
            if line.arrived and not line.refused and action in (None, line.action)
        ]

    @cached_property
    def quiet(self) -> bool:
        """Whether nothing happened that may change how the run comes out."""
        told = self.scenario
        return (
            not told.refusals
            and told.cancel is None
            and all(fault.kind in QUIET for fault in told.faults)
        )

    @cached_property
    def undisturbed(self) -> bool:
        """Whether nothing went wrong at all and everybody approved."""
        told = self.scenario
        return self.quiet and not told.faults and set(told.people) == {"approve"}

    def sent(self) -> dict[str, int]:
        """Return micro-units by currency in the `amount` of effects that took
        place and were not undone; where anything left for good, only that."""
        undone = {event.payload.get("key") for event in self.of("effect.compensated")}
        final: Counter[str] = Counter()
        other: Counter[str] = Counter()
        left = False
        for line in self.effects():
            spec = self.registry.action(line.action).spec
            forever = spec.effect is Effect.IRREVERSIBLE
            for currency, micros in amounts(line.input):
                left = left or forever
                if line.key not in undone:
                    (final if forever else other)[currency] += micros
        chosen = final if left else other
        return {currency: micros for currency, micros in chosen.items() if micros}


def amounts(value: Any) -> Iterator[tuple[str, int]]:
    """Yield (currency, micros) of the `amount` of an effect's input."""
    amount = value.get("amount") if isinstance(value, Mapping) else None
    if isinstance(amount, Mapping) and is_money(amount):
        yield str(amount["currency"]), int(amount["micros"])


def is_money(value: Any) -> bool:
    """Whether plain JSON is a Money."""
    return isinstance(value, Mapping) and set(value) == {"micros", "currency"}


def moneys(value: Any, at: str = "") -> Iterator[tuple[str, str, int]]:
    """Yield (pointer, currency, micros) of every Money in plain JSON."""
    if is_money(value):
        if isinstance(value["micros"], int):
            yield at, str(value["currency"]), value["micros"]
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from moneys(item, f"{at}/{name}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from moneys(item, f"{at}/{index}")
