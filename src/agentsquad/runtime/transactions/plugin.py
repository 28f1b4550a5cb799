"""What transactions offer: their actions, the kind Database and who may
recover."""

from __future__ import annotations

from agentsquad.kernel.errors import InvalidError
from agentsquad.kernel.registry import Plugin, nearest
from agentsquad.runtime.transactions import actions
from agentsquad.runtime.transactions.adapters.mariadb import MariadbParticipant
from agentsquad.runtime.transactions.adapters.postgresql import PostgresqlParticipant
from agentsquad.runtime.transactions.contract import (
    DatabaseMissingError,
    DatabaseSettingError,
    DatabaseSource,
    Participant,
)
from agentsquad.runtime.transactions.kinds import DATABASE

_OPERATORS = """package transactions.operators

actions := {"transactions.recover"}

allow contains {"clause": "transactions.operators.person", "reason": "a person recovers"} if {
	startswith(input.actor, "person:")
}
"""

plugin = Plugin(
    name="transactions",
    actions=(
        actions.transact,
        actions.outcome,
        actions.list_transactions,
        actions.recover,
    ),
    kinds=(DATABASE,),
    policies={"transactions/operators.rego": _OPERATORS},
)


class Declared:
    """The participants that Database resources declare, made on first use
    (`Participants`)."""

    def __init__(self, source: DatabaseSource) -> None:
        self._source = source
        self._made: dict[tuple[str, str, str], Participant] = {}

    async def participant(self, name: str) -> Participant:
        """Return one; DatabaseMissingError when none is declared."""
        specs = await self._source.databases()
        if name not in specs:
            raise DatabaseMissingError(
                f"no database named {name!r}",
                hint=nearest(name, list(specs)) or "apply a resource of kind Database first",
            )
        engine, variable = specs[name]["engine"], specs[name]["addressFrom"]
        url = self._source.variable(variable)
        if not url:
            raise DatabaseSettingError(
                f"database {name} has no address: {variable} is not set",
                hint=f"export {variable}=…",
            )
        key = (name, engine, url)
        if key not in self._made:
            self._made[key] = participant(name, engine, url)
        return self._made[key]

    async def names(self) -> list[str]:
        """Return the names of all."""
        return sorted(await self._source.databases())

    async def close(self) -> None:
        """Let go of every connection."""
        for one in self._made.values():
            await one.close()


def participant(name: str, engine: str, url: str) -> Participant:
    """Return the participant for a database; `engine` as in the kind."""
    if engine == "postgresql":
        return PostgresqlParticipant(name, url)
    if engine == "mariadb":
        return MariadbParticipant(name, url)
    raise InvalidError(f"{engine!r} is not an engine", code="transaction.engine")
