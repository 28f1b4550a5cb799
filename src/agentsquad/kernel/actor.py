"""Actor: a person, agent, service or schedule that asks for something."""

from __future__ import annotations

import msgspec

from agentsquad.kernel.errors import InvalidError

KINDS = ("person", "agent", "service", "schedule")


class Actor(msgspec.Struct, frozen=True):
    """Who.

    Written `kind:name` in events, for example `person:ada` or `agent:matcher`.
    """

    kind: str
    name: str
    roles: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"

    @classmethod
    def parse(cls, text: str, roles: tuple[str, ...] = ()) -> Actor:
        """Read `kind:name`; anything else raises InvalidError
        `actor.invalid`."""
        kind, _, name = text.partition(":")
        if kind not in KINDS or not name:
            raise InvalidError(
                f"{text!r} is not an actor",
                code="actor.invalid",
                hint=f"write KIND:NAME with KIND one of {', '.join(KINDS)}, e.g. person:ada",
            )
        return cls(kind, name, roles)


SYSTEM = Actor("service", "squad")
