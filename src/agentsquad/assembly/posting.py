"""Posting: notifications of A2A tasks, delivered for each namespace beside its
runs.

What is sent is signed with the installation's key, and shown as whoever asked
for it may see it now: roles that were taken from them since, or an account that
is gone, end it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

from agentsquad.assembly.squad import Squad
from agentsquad.surfaces.a2a.contract import Vouching, Webhooks
from agentsquad.surfaces.a2a.post import Post
from agentsquad.trust.identity.contract import EVERY_NAMESPACE
from agentsquad.trust.identity.office import Desk
from agentsquad.trust.identity.recognition import bootstrap_principal, session_now, within
from agentsquad.trust.identity.state import State


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

    Who asked without roles was the owner of the files, at this machine. Roles
    that somebody has by where they signed in hold as long as one of their
    sessions or tokens does.
    """
    if not roles:
        return ()
    state = await desk.directory.follow()
    held = {
        role
        for grants in _grants(state, actor, desk.directory.now_ms())
        for role in (*grants.get(EVERY_NAMESPACE, ()), *grants.get(namespace, ()))
    }
    return tuple(one for one in roles if one in held) or None


def _grants(state: State, actor: str, now_ms: int) -> Iterator[Mapping[str, tuple[str, ...]]]:
    """Return what somebody was granted, each way that still counts."""
    first = None if state.bootstrap is None else bootstrap_principal(state, state.bootstrap)
    if first is not None and str(first.actor) == actor:
        yield first.grants
    account = state.account(actor)
    if account is None or account.disabled:
        return
    yield account.grants
    for session in state.sessions.values():
        found = session_now(state, session, now_ms) if session.owner == actor else None
        if found is not None:
            yield found.grants
    for family in state.families.values():
        if family.owner == actor and not family.ended and now_ms < family.expires_ms:
            yield within(family.grants, family.within)
