from __future__ import annotations

import asyncio

import pytest

from agentsquad.trust.identity.contract import (
    CredentialError,
    External,
    FactorNeededError,
    LockedError,
    PasswordWeakError,
    Shown,
    SignInFailedError,
    TicketError,
    Visit,
)

GOOD = "plum tractor quietly 7 boats"
HERE = Visit(address="10.0.0.1", agent="Firefox")


async def wrong(bench, name="ada", password="wrong", visit=HERE, desk=None):
    with pytest.raises(SignInFailedError) as caught:
        await (desk or bench.desk).sign_in.begin(name, password, visit)
    return caught.value.to_dict()


async def test_a_password_alone_begins_a_session_where_no_second_factor_is_set_up(bench):
    await bench.ada()

    made = await bench.desk.sign_in.begin("ada", GOOD, HERE)

    assert made.wants == () and made.ticket is None and made.session is not None
    shown = Shown(session=made.session.value, csrf=made.session.csrf)
    who = await bench.other().recognition.recognise(shown)
    assert (str(who.actor), who.method) == ("person:ada", "password")


async def test_wrong_names_and_wrong_passwords_are_told_apart_by_nothing(bench):
    await bench.ada()
    await bench.desk.administration.add("nopass", "person:root")
    await bench.desk.administration.add("off", "person:root")
    await bench.desk.administration.set_password("off", GOOD, "person:root")
    await bench.desk.administration.disable("off", "person:root")

    told, computed = [], []
    for name, password in (
        ("ada", "wrong"), ("nobody", "wrong"), ("nopass", GOOD), ("off", GOOD),
        ("a b c", "x"), ("service:squad", "x"), ("x" * 5000, "y" * 5000), ("\ud800", "\ud800"),
    ):  # fmt: skip
        before = bench.hasher.computed
        told.append(await wrong(bench, name, password))
        computed.append(bench.hasher.computed - before)

    assert all(one == told[0] for one in told)
    assert set(computed) == {1}


async def test_a_password_typed_where_the_name_belongs_is_not_in_the_log(bench):
    await bench.ada()
    await wrong(bench, GOOD, "x")

    (failed,) = await bench.events("login.failed")

    assert failed.payload["who"].startswith("unknown-") and GOOD not in str(failed.payload)


async def test_after_five_failures_each_one_more_makes_the_wait_twice_as_long(bench):
    await bench.ada()
    for _ in range(5):
        await wrong(bench)
    waits = []
    for _ in range(12):
        with pytest.raises(LockedError) as caught:
            await bench.desk.sign_in.begin("ada", GOOD, HERE)
        waits.append(caught.value.retry_after_ms)
        await bench.clock.advance(waits[-1])
        await wrong(bench)

    assert waits[:4] == [1_000, 2_000, 4_000, 8_000]
    assert max(waits) == waits[-1] == 900_000


async def test_nobody_is_locked_out_for_good(bench):
    await bench.ada()
    for _ in range(5):
        await wrong(bench)
    await bench.clock.advance(1_000)

    assert (await bench.desk.sign_in.begin("ada", GOOD, HERE)).session is not None
    await wrong(bench)  # and the count began anew


async def test_a_name_that_is_none_is_locked_out_in_the_same_way(bench):
    for _ in range(5):
        await wrong(bench, "nobody")
    with pytest.raises(LockedError) as caught:
        await bench.desk.sign_in.begin("nobody", "wrong", HERE)
    assert caught.value.retry_after_ms == 1_000


async def test_a_stranger_delays_an_owner_by_a_minute_at_most_and_not_where_they_were_before(bench):
    await bench.ada()
    assert (await bench.desk.sign_in.begin("ada", GOOD, Visit(address="10.9.9.9"))).session
    for place in range(60):
        try:
            await wrong(bench, visit=Visit(address=f"10.1.1.{place}"))
        except LockedError as error:
            await bench.clock.advance(error.retry_after_ms or 0)

    with pytest.raises(LockedError) as caught:
        await bench.desk.sign_in.begin("ada", GOOD, Visit(address="10.2.2.2"))
    assert 0 < (caught.value.retry_after_ms or 0) <= 60_000
    assert (await bench.desk.sign_in.begin("ada", GOOD, Visit(address="10.9.9.9"))).session


async def test_failures_in_another_process_count(bench):
    await bench.ada()
    elsewhere = bench.other()
    for _ in range(5):
        await wrong(bench, desk=elsewhere)
    with pytest.raises(LockedError):
        await bench.desk.sign_in.begin("ada", GOOD, HERE)


async def test_many_attempts_at_once_gain_nothing(bench):
    await bench.ada()
    gate = asyncio.Event()
    check = bench.hasher.check

    async def slow(password, kept):
        await gate.wait()
        return await check(password, kept)

    bench.hasher.check = slow
    guesses = [
        asyncio.ensure_future(bench.desk.sign_in.begin("ada", f"guess {n}", HERE))
        for n in range(100)
    ]
    await asyncio.sleep(0)
    gate.set()
    ends = await asyncio.gather(*guesses, return_exceptions=True)

    assert sum(isinstance(end, SignInFailedError) for end in ends) == 5
    assert sum(isinstance(end, LockedError) for end in ends) == 95


async def test_a_password_kept_with_less_cost_is_kept_better_when_it_is_next_used(bench):
    await bench.ada()
    before = bench.desk.directory.state.account("person:ada").sealed
    bench.hasher.outdated = lambda kept: True

    session = await bench.session()

    assert bench.desk.directory.state.account("person:ada").sealed != before
    assert await bench.desk.recognition.recognise(Shown(session=session.value, csrf=session.csrf))


async def test_with_an_authenticator_app_the_password_only_gives_a_ticket(bench):
    await bench.ada()
    secret, _ = await bench.app()
    await bench.clock.advance(30_000)

    half = await bench.desk.sign_in.begin("ada", GOOD, HERE)
    assert (half.session, half.wants) == (None, ("totp", "recovery"))
    with pytest.raises(SignInFailedError):
        await bench.desk.sign_in.verify(half.ticket, "totp", "000000", HERE)
    whole = await bench.desk.sign_in.verify(half.ticket, "totp", bench.code(secret), HERE)

    assert whole.session is not None
    shown = Shown(session=whole.session.value, csrf=whole.session.csrf)
    assert (await bench.desk.recognition.recognise(shown)).method == "password+totp"


async def test_a_ticket_leads_to_one_session_only(bench):
    await bench.ada()
    secret, _ = await bench.app()
    await bench.clock.advance(30_000)
    half = await bench.desk.sign_in.begin("ada", GOOD, HERE)
    whole = await bench.desk.sign_in.verify(half.ticket, "totp", bench.code(secret), HERE)
    await bench.desk.sign_in.end(whole.session.value)
    await bench.clock.advance(30_000)

    with pytest.raises(TicketError):
        await bench.desk.sign_in.verify(half.ticket, "totp", bench.code(secret), HERE)


async def test_a_code_counts_once_even_for_two_processes_at_the_same_time(bench):
    await bench.ada()
    secret, _ = await bench.app()
    await bench.clock.advance(30_000)
    one, other = bench.desk, bench.other()
    tickets = [(await desk.sign_in.begin("ada", GOOD, HERE)).ticket for desk in (one, other)]
    code = bench.code(secret)

    ends = await asyncio.gather(
        one.sign_in.verify(tickets[0], "totp", code, HERE),
        other.sign_in.verify(tickets[1], "totp", code, HERE),
        return_exceptions=True,
    )

    assert sorted(type(end).__name__ for end in ends) == ["Progress", "SignInFailedError"]


async def test_a_sign_in_goes_on_in_another_process_after_a_crash(bench):
    await bench.ada()
    secret, _ = await bench.app()
    await bench.clock.advance(30_000)
    half = await bench.desk.sign_in.begin("ada", GOOD, HERE)

    whole = await bench.other().sign_in.verify(half.ticket, "totp", bench.code(secret), HERE)

    assert whole.session is not None


@pytest.mark.parametrize("spoil", ["late", "torn", "foreign", "disabled"])
async def test_a_ticket_that_counts_no_more_is_refused(bench, spoil):
    await bench.ada()
    secret, _ = await bench.app()
    await bench.clock.advance(30_000)
    ticket = (await bench.desk.sign_in.begin("ada", GOOD, HERE)).ticket
    if spoil == "late":
        await bench.clock.advance(600_000)
    elif spoil == "torn":
        ticket = ticket[:-3]
    elif spoil == "foreign":
        ticket = bench.sealer.seal("another purpose", b"{}")
    else:
        await bench.other().administration.disable("ada", "person:root")

    with pytest.raises(TicketError):
        await bench.desk.sign_in.verify(ticket, "totp", bench.code(secret), HERE)


async def test_wrong_codes_are_counted_like_wrong_passwords(bench):
    await bench.ada()
    await bench.app()
    ticket = (await bench.desk.sign_in.begin("ada", GOOD, HERE)).ticket
    for _ in range(5):
        with pytest.raises(SignInFailedError):
            await bench.desk.sign_in.verify(ticket, "totp", "000000", HERE)
    with pytest.raises(LockedError):
        await bench.desk.sign_in.verify(ticket, "totp", "000000", HERE)


async def test_a_recovery_code_counts_once_however_it_is_written(bench):
    await bench.ada()
    _, codes = await bench.app()
    assert len(set(codes)) == 10

    async def use(code):
        ticket = (await bench.desk.sign_in.begin("ada", GOOD, HERE)).ticket
        return (await bench.desk.sign_in.verify(ticket, "recovery", code, HERE)).session

    assert await use(codes[0].upper().replace("-", " "))
    with pytest.raises(SignInFailedError):
        await use(codes[0])
    assert await use(codes[1])
    assert len((await bench.desk.administration.find("ada")).codes) == 8


async def test_the_bootstrap_token_ends_when_an_administrator_has_signed_in(bench):
    token = await bench.desk.administration.bootstrap()
    await bench.ada()
    await bench.desk.administration.grant("ada", "*", "admin", "service:bootstrap")
    assert await bench.desk.recognition.recognise(Shown(bearer=token))

    await bench.session()

    with pytest.raises(CredentialError):
        await bench.desk.recognition.recognise(Shown(bearer=token))
    assert await bench.other().administration.bootstrap(renew=True) is None


async def test_somebody_another_provider_vouches_for_gets_an_account_and_the_roles_of_their_groups(
    bench,
):
    grace = External(
        provider="corp", method="oidc", subject="s-1", name="grace", email="g@example.com",
        grants={"acme": ("operator",)},
    )  # fmt: skip

    made = await bench.desk.sign_in.vouched(grace, HERE)
    again = await bench.other().sign_in.vouched(grace, HERE)

    assert made.session is not None and again.session is not None
    who = await bench.desk.recognition.recognise(
        Shown(session=made.session.value, csrf=made.session.csrf)
    )
    assert (str(who.actor), who.roles("acme"), who.method) == (
        "person:grace",
        ("operator",),
        "oidc",
    )
    assert len(await bench.events("account.added")) == 1


async def test_a_provider_cannot_take_over_an_account_that_is_not_its_own(bench):
    await bench.ada()
    for provider, subject in (("corp", "s-9"), ("other", "s-1")):
        with pytest.raises(SignInFailedError):
            await bench.desk.sign_in.vouched(
                External(provider=provider, method="oidc", subject=subject, name="ada"), HERE
            )


async def test_every_sign_in_and_failure_is_an_event(bench):
    await bench.ada()
    await wrong(bench)
    session = await bench.session(address="10.0.0.1")
    await bench.desk.sign_in.end(session.value)

    kinds = [one.type for one in await bench.events()][-4:]
    assert kinds == ["login.failed", "session.started", "login.succeeded", "session.ended"]


async def test_somebody_changes_their_password_by_showing_the_one_they_have(bench):
    await bench.ada()
    session = await bench.session()
    fresh = "seven grey lamps & a kettle"
    with pytest.raises(SignInFailedError):
        await bench.desk.sign_in.change_password("person:ada", "wrong", fresh, HERE)
    with pytest.raises(PasswordWeakError):
        await bench.desk.sign_in.change_password("person:ada", GOOD, "Password1234!", HERE)
    assert await bench.desk.recognition.recognise(Shown(session=session.value, csrf=session.csrf))

    await bench.desk.sign_in.change_password("person:ada", GOOD, fresh, HERE)

    with pytest.raises(CredentialError):
        await bench.desk.recognition.recognise(Shown(session=session.value, csrf=session.csrf))
    await wrong(bench, "ada", GOOD)
    assert (await bench.desk.sign_in.begin("ada", fresh, HERE)).session


async def test_who_guesses_the_password_of_somebody_signed_in_is_slowed_down(bench):
    await bench.ada()
    for _ in range(5):
        with pytest.raises(SignInFailedError):
            await bench.desk.sign_in.again("person:ada", "wrong", HERE)
    with pytest.raises(LockedError):
        await bench.desk.sign_in.again("person:ada", GOOD, HERE)


async def test_where_a_second_factor_is_demanded_a_password_alone_lets_nobody_in(bench):
    bench.strict = True
    strict = bench.other()
    await bench.ada()
    with pytest.raises(FactorNeededError):
        await strict.sign_in.begin("ada", GOOD, HERE)
    await wrong(bench, desk=strict)  # and who does not know it learns nothing of that

    secret, _ = await bench.app()
    await bench.clock.advance(30_000)
    half = await strict.sign_in.begin("ada", GOOD, HERE)
    assert (await strict.sign_in.verify(half.ticket, "totp", bench.code(secret), HERE)).session


async def test_where_a_second_factor_is_demanded_one_at_the_provider_will_do(bench):
    bench.strict = True
    strict = bench.other()
    grace = {"provider": "corp", "method": "oidc", "subject": "s-1", "name": "grace"}
    with pytest.raises(FactorNeededError):
        await strict.sign_in.vouched(External(**grace), HERE)
    assert (await strict.sign_in.vouched(External(**grace, strong=True), HERE)).session
