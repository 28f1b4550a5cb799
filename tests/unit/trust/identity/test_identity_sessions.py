from __future__ import annotations

import pytest

from agentsquad.trust.identity.contract import CredentialError, CredentialMissingError, Shown

MINUTE = 60_000
GOOD = "plum tractor quietly 7 boats"


async def known(desk, session, **more):
    return await desk.recognition.recognise(
        Shown(session=session.value, **{"csrf": session.csrf, **more})
    )


async def refused(desk, session, **more):
    with pytest.raises(CredentialError):
        await known(desk, session, **more)


async def test_a_session_ends_when_nothing_is_heard_of_it_for_half_an_hour(bench):
    await bench.ada()
    session = await bench.session()
    for _ in range(4):
        await bench.clock.advance(29 * MINUTE)
        await known(bench.desk, session)
    await bench.clock.advance(30 * MINUTE)
    await refused(bench.desk, session)


async def test_a_session_ends_after_twelve_hours_however_much_it_is_used(bench):
    await bench.ada()
    session = await bench.session()
    for _ in range(12 * 3 - 1):
        await bench.clock.advance(20 * MINUTE)
        await known(bench.desk, session)
    await bench.clock.advance(20 * MINUTE)
    await refused(bench.desk, session)


async def test_one_process_knows_that_a_session_was_used_in_another(bench):
    await bench.ada()
    session, elsewhere = await bench.session(), bench.other()
    await bench.clock.advance(20 * MINUTE)
    await known(bench.desk, session)
    await bench.clock.advance(20 * MINUTE)
    await known(elsewhere, session)


async def test_a_session_in_use_writes_an_event_now_and_then_only(bench):
    await bench.ada()
    session = await bench.session()
    for _ in range(100):
        await bench.clock.advance(1_000)
        await known(bench.desk, session)
    assert len(await bench.events("session.used")) == 0
    for _ in range(10):
        await bench.clock.advance(MINUTE)
        await known(bench.desk, session)
    assert len(await bench.events("session.used")) == 3


async def test_what_changes_something_needs_the_token_of_the_same_session(bench):
    await bench.ada()
    one, other = await bench.session(), await bench.session()
    for csrf in (None, "", "x", other.csrf, one.value, "é"):
        await refused(bench.desk, one, csrf=csrf)
    await known(bench.desk, one, csrf=None, changes=False)
    await known(bench.desk, one)


async def test_signing_in_again_gives_another_session_and_ends_the_old_one(bench):
    await bench.ada()
    old = await bench.session()
    new = await bench.session(previous=old.value)

    assert old.id != new.id and old.value != new.value and old.csrf != new.csrf
    await refused(bench.desk, old)
    await known(bench.desk, new)


@pytest.mark.parametrize("by", ["end", "revoke", "password", "disable", "delete", "all"])
async def test_a_session_ended_elsewhere_is_refused_on_the_next_request(bench, by):
    await bench.ada()
    session, elsewhere = await bench.session(), bench.other()
    who = await known(bench.desk, session)
    assert await bench.desk.recognition.confirm(who) == who

    if by == "end":
        assert await elsewhere.sign_in.end(session.value)
    elif by == "revoke":
        await elsewhere.sessions.revoke(session.id, "person:root")
    elif by == "password":
        await elsewhere.administration.set_password("ada", GOOD + "!", "person:root")
    elif by == "disable":
        await elsewhere.administration.disable("ada", "person:root")
    elif by == "delete":
        await elsewhere.administration.delete("ada", "person:root")
    else:
        assert await elsewhere.sessions.revoke_all("ada", "person:root") == 1

    await refused(bench.desk, session)
    with pytest.raises(CredentialError):
        await bench.desk.recognition.confirm(who)


async def test_sessions_are_listed_without_what_opens_them(bench):
    await bench.ada()
    session = await bench.session(address="10.0.0.1", agent="Firefox")

    (listed,) = await bench.other().sessions.listed("ada")

    assert (listed.id, listed.address, listed.agent) == (session.id, "10.0.0.1", "Firefox")
    assert session.value not in str(listed)
    await bench.clock.advance(31 * MINUTE)
    assert await bench.desk.sessions.listed() == []


async def test_what_is_no_session_cannot_be_ended(bench):
    assert not await bench.desk.sign_in.end("sqs_nothing")
    with pytest.raises(CredentialMissingError):
        await bench.desk.sessions.revoke("nothing", "person:root")


async def test_the_value_of_a_session_is_not_in_the_log(bench):
    await bench.ada()
    session = await bench.session()
    raw = b"".join(one.payload for one in await bench.ledger.store.read_records(limit=1000))
    assert session.value.encode() not in raw and session.csrf.encode() not in raw


async def test_an_account_has_at_most_twenty_sessions_and_the_oldest_makes_room(bench):
    await bench.ada()
    sessions = []
    for _ in range(21):
        await bench.clock.advance(1_000)
        sessions.append(await bench.session())
    assert len(await bench.desk.sessions.listed("ada")) == 20
    await refused(bench.desk, sessions[0])
    await known(bench.desk, sessions[1])
