"""Posting: notifications of A2A tasks, delivered for each namespace beside its
runs.

What is sent is signed with the installation's key, and shown as whoever asked
for it may see it now: roles that were taken from them since, or an account that
is gone, end it.
"""

from __future__ import annotations

from functools import partial

from agentsquad.assembly.squad import Squad
from agentsquad.surfaces.a2a.contract import Vouching, Webhooks
from agentsquad.surfaces.a2a.post import Post
from agentsquad.trust.identity.contract import EVERY_NAMESPACE
from agentsquad.trust.identity.office import Desk


def delivers(squad: Squad) -> bool:
    """Whether notifications are delivered at all."""
    return bool(squad.world.ports.get(Webhooks).on)


async def post(desk: Desk, place: Squad) -> None:
    """Deliver the notifications of a namespace until told to end."""
    if not delivers(place):
        return
    place.world.ports.put(Vouching, desk.tokens)
    await Post(place, partial(standing, desk, place.settings.namespace)).run()


async def standing(
    desk: Desk, namespace: str, actor: str, roles: tuple[str, ...]
) -> tuple[str, ...] | None:
    """Return which of the roles somebody held they still hold; None where they
    have no business there any more.

    Who asked without roles was the owner of the files, at this machine.
    """
    if not roles:
        return ()
    account = (await desk.directory.follow()).account(actor)
    if account is None or account.disabled:
        return None
    grants = account.grants
    held = {*grants.get(EVERY_NAMESPACE, ()), *grants.get(namespace, ())}
    return tuple(one for one in roles if one in held) or None
