from __future__ import annotations

import pytest

from agentsquad.kernel.actor import Actor
from agentsquad.trust.identity.administration import Wanted
from agentsquad.trust.identity.contract import CredentialError, Principal, Shown
from agentsquad.trust.identity.credential import new_secret, well_formed

DAY = 86_400_000


async def key(bench, **wanted):
    return await bench.desk.administration.create_key(Wanted(**wanted), "person:root")


async def refused(desk, **shown):
    with pytest.raises(CredentialError) as caught:
        await desk.recognition.recognise(Shown(**shown))
    return caught.value.to_dict()


async def test_a_key_stands_for_its_owner_with_its_scopes(bench):
    office = bench.desk.administration
    await office.add("nightly", "person:root", kind="service")
    await office.grant("nightly", "acme", "operator", "person:root")
    made = await key(bench, owner="nightly", scopes=("runs.*",), days=30)

    who = await bench.desk.recognition.recognise(Shown(bearer=made.secret))

    assert who == Principal(
        actor=Actor("service", "nightly"),
        grants={"acme": ("operator",)},
        scopes=("runs.*",),
        credential=f"key:{made.key.id}",
        method="key",
        expires_ms=bench.clock.now_ms() + 30 * DAY,
    )
    assert who.acting_in("acme").roles == ("operator",)


@pytest.mark.parametrize("change", ["revoke", "disable", "delete", "ungrant", "expire"])
async def test_what_another_process_takes_away_counts_on_the_next_request(bench, change):
    office = bench.desk.administration
    await bench.ada()
    await office.grant("ada", "acme", "operator", "person:root")
    made = await key(bench, owner="ada", days=1)
    here = bench.desk.recognition
    elsewhere = bench.other().administration
    before = await here.recognise(Shown(bearer=made.secret))
    assert before.roles("acme") == ("operator",)
    assert await here.confirm(before) == before

    if change == "revoke":
        await elsewhere.revoke_key(made.key.id, "person:root")
    elif change == "disable":
        await elsewhere.disable("ada", "person:root")
    elif change == "delete":
        await elsewhere.delete("ada", "person:root")
    elif change == "ungrant":
        await elsewhere.ungrant("ada", "acme", "operator", "person:root")
    else:
        await bench.clock.advance(DAY)

    if change == "ungrant":
        assert (await here.recognise(Shown(bearer=made.secret))).roles("acme") == ()
        assert (await here.confirm(before)).roles("acme") == ()
    else:
        await refused(bench.desk, bearer=made.secret)
        with pytest.raises(CredentialError):
            await here.confirm(before)


async def test_a_key_counts_again_when_its_owner_is_enabled_again(bench):
    await bench.ada()
    made = await key(bench, owner="ada")
    await bench.desk.administration.disable("ada", "person:root")
    await refused(bench.desk, bearer=made.secret)
    await bench.desk.administration.enable("ada", "person:root")
    assert (await bench.desk.recognition.recognise(Shown(bearer=made.secret))).actor.name == "ada"


async def test_every_refusal_says_the_same(bench):
    await bench.ada()
    revoked, expired = await key(bench, owner="ada"), await key(bench, owner="ada", days=1)
    await bench.desk.administration.revoke_key(revoked.key.id, "person:root")
    await bench.clock.advance(DAY)

    told = [
        await refused(bench.desk, bearer=bearer)
        for bearer in (
            revoked.secret,
            expired.secret,
            new_secret("sqk_", b"\0" * 32),
            "sqk_nonsense",
            "",
            "a.b.c",
            "é" * 20_000,
            "\ud800",
        )
    ]
    told.append(await refused(bench.desk, session="sqs_nothing"))

    assert all(one == told[0] for one in told)


async def test_a_key_for_one_namespace_says_nothing_elsewhere(bench):
    await bench.ada()
    office = bench.desk.administration
    await office.grant("ada", "*", "viewer", "person:root")
    await office.grant("ada", "acme", "operator", "person:root")
    await office.grant("ada", "other", "admin", "person:root")
    made = await key(bench, owner="ada", within=("acme",))

    who = await bench.desk.recognition.recognise(Shown(bearer=made.secret))

    assert who.grants == {"acme": ("operator", "viewer")}
    assert who.roles("other") == ()


async def test_refusals_are_written_down_but_a_flood_of_them_is_not(bench):
    for _ in range(50):
        await refused(bench.desk, bearer="sqk_nonsense", address="10.0.0.9")
    await refused(bench.desk, bearer="sqk_nonsense", address="10.0.0.8")
    await bench.clock.advance(61_000)
    await refused(bench.desk, bearer="sqk_nonsense", address="10.0.0.9")

    found = await bench.events("credential.refused")
    assert [one.payload["address"] for one in found] == ["10.0.0.9", "10.0.0.8", "10.0.0.9"]


async def test_refusals_from_many_addresses_do_not_fill_the_log(bench):
    for place in range(300):
        await refused(bench.desk, bearer="sqk_nonsense", address=f"10.0.{place // 250}.{place}")
    assert len(await bench.events("credential.refused")) == 60
    await bench.clock.advance(60_000)
    await refused(bench.desk, bearer="sqk_nonsense", address="10.9.9.9")
    assert len(await bench.events("credential.refused")) == 61


async def test_the_bootstrap_token_is_told_once_and_administers_everything(bench):
    token = await bench.desk.administration.bootstrap()
    assert token is not None
    assert await bench.other().administration.bootstrap() is None

    who = await bench.desk.recognition.recognise(Shown(bearer=token))

    assert (who.roles("acme"), str(who.actor)) == (("admin",), "service:bootstrap")


async def test_a_lost_bootstrap_token_is_replaced_and_counts_no_more(bench):
    lost = await bench.desk.administration.bootstrap()
    token = await bench.other().administration.bootstrap(renew=True)

    await refused(bench.desk, bearer=lost)
    assert (await bench.desk.recognition.recognise(Shown(bearer=token))).method == "bootstrap"


async def test_a_revoked_bootstrap_token_is_not_issued_again_by_itself(bench):
    token = await bench.desk.administration.bootstrap()
    assert await bench.desk.administration.end_bootstrap("person:root", "not needed")

    await refused(bench.desk, bearer=token)
    assert await bench.other().administration.bootstrap() is None
    assert not await bench.desk.administration.end_bootstrap("person:root")


def test_a_secret_with_one_wrong_letter_is_not_well_formed():
    secret = new_secret("sqk_", bytes(range(32)))
    assert well_formed(secret, "sqk_") and not well_formed(secret, "sqb_")
    wrong = "".join(secret[:i] + ("a" if secret[i] != "a" else "b") + secret[i + 1 :] for i in [20])
    assert not well_formed(wrong, "sqk_")


async def test_a_connection_by_the_bootstrap_token_ends_with_it(bench):
    token = await bench.desk.administration.bootstrap()
    who = await bench.desk.recognition.recognise(Shown(bearer=token))
    assert await bench.desk.recognition.confirm(who) == who
    await bench.other().administration.end_bootstrap("person:root")
    with pytest.raises(CredentialError):
        await bench.desk.recognition.confirm(who)


async def test_somebody_who_was_never_recognised_is_not_confirmed(bench):
    made_up = Principal(actor=Actor("person", "ada"), grants={"*": ("admin",)})
    for credential in ("", "key:x", "session:x", "token:x.y", "local"):
        with pytest.raises(CredentialError):
            await bench.desk.recognition.confirm(
                Principal(actor=made_up.actor, grants=made_up.grants, credential=credential)
            )
