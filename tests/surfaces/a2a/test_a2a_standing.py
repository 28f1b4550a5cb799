"""Who asked for notifications and may no longer look is told nothing more."""

from __future__ import annotations

from typing import Any

from agentsquad.assembly.posting import standing
from agentsquad.trust.access.contract import SYSTEM
from agentsquad.trust.identity.office import Office


async def desk_of(office: Any) -> Any:
    world = (await office.squad.namespaces.use(SYSTEM)).world
    return world.ports.get(Office).at(world.store, world.clock, world.entropy)


async def test_roles_that_were_taken_and_accounts_that_are_gone_end_it(office: Any) -> None:
    desk, call = await desk_of(office), office.squad.invoke
    await call("services.add", {"name": "partner"})
    who = "service:partner"
    assert await standing(desk, "default", who, ("operator",)) is None
    await call("grants.add", {"name": who, "role": "operator", "where": "default"})
    assert await standing(desk, "default", who, ("operator", "admin")) == ("operator",)
    assert await standing(desk, "acme", who, ("operator",)) is None
    await call("users.disable", {"name": who})
    assert await standing(desk, "default", who, ("operator",)) is None


async def test_the_owner_at_this_machine_and_the_first_administrator_may_be_told(
    office: Any,
) -> None:
    desk = await desk_of(office)
    assert await standing(desk, "default", "person:ada", ()) == ()
    first = ("service:bootstrap", ("admin",))
    assert await standing(desk, "default", *first) is None
    await desk.administration.bootstrap()
    assert await standing(desk, "default", *first) == ("admin",)
