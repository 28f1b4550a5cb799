from __future__ import annotations

import pytest

from agentsquad.trust.identity.account import actor_named
from agentsquad.trust.identity.administration import Wanted
from agentsquad.trust.identity.contract import (
    AccountExistsError,
    AccountMissingError,
    AccountNameError,
    PasswordWeakError,
    RoleNameError,
)

GOOD = "plum tractor quietly 7 boats"


async def test_an_account_that_was_added_is_listed_by_every_process(bench):
    elsewhere = bench.other()
    assert await elsewhere.administration.listed() == []

    await bench.desk.administration.add("ada", "person:root", display="Ada Lovelace")

    (found,) = await elsewhere.administration.listed("person:")
    assert (found.actor, found.display, found.disabled) == ("person:ada", "Ada Lovelace", False)


async def test_a_name_is_given_once_even_after_its_account_is_deleted(bench):
    office = bench.desk.administration
    await office.add("ada", "person:root")
    with pytest.raises(AccountExistsError):
        await office.add("ada", "person:root")

    await office.delete("ada", "person:root", "left")

    with pytest.raises(AccountMissingError):
        await office.find("ada")
    with pytest.raises(AccountExistsError, match="deleted"):
        await office.add("ada", "person:root")


async def test_of_two_processes_that_add_the_same_name_one_fails(bench):
    one, other = bench.desk.administration, bench.other().administration
    await one.add("ada", "person:root")
    with pytest.raises(AccountExistsError):
        await other.add("ada", "person:root")
    assert len(await bench.events("account.added")) == 1


@pytest.mark.parametrize(
    "name", ["", "Ada", "a b", "agent:matcher", "service:squad", "../x", "x" * 70, "-a", "person:"]
)
def test_what_is_no_name_is_refused(name):
    with pytest.raises(AccountNameError):
        actor_named(name)


async def test_a_grant_is_held_until_it_is_removed(bench):
    office = bench.desk.administration
    await office.add("ada", "person:root")

    await office.grant("ada", "acme", "operator", "person:root")
    await office.grant("ada", "acme", "approver", "person:root")
    await office.grant("ada", "acme", "operator", "person:root")
    assert (await office.find("ada")).grants == {"acme": ("approver", "operator")}
    assert len(await bench.events("grant.added")) == 2

    await office.ungrant("ada", "acme", "approver", "person:root")
    await office.ungrant("ada", "acme", "operator", "person:root")
    assert (await office.find("ada")).grants == {}
    with pytest.raises(RoleNameError):
        await office.ungrant("ada", "acme", "operator", "person:root")


async def test_a_role_of_a_business_is_granted_as_its_policy_names_it(bench):
    office = bench.desk.administration
    await office.add("ada", "person:root")
    await office.grant("ada", "acme", "ap_clerk", "person:root")
    assert (await office.find("ada")).grants == {"acme": ("ap_clerk",)}


@pytest.mark.parametrize(("where", "role"), [("Acme", "operator"), ("acme", "a b"), ("", "x")])
async def test_what_is_no_role_or_namespace_is_not_granted(bench, where, role):
    await bench.desk.administration.add("ada", "person:root")
    with pytest.raises(RoleNameError):
        await bench.desk.administration.grant("ada", where, role, "person:root")


async def test_no_password_and_no_key_is_ever_in_the_log(bench):
    await bench.ada()
    made = await bench.desk.administration.create_key(Wanted(owner="ada"), "person:root")
    token = await bench.desk.administration.bootstrap()
    sealed = bench.desk.directory.state.account("person:ada").sealed
    hashed = bench.sealer.unseal("password/person:ada", sealed)

    records = await bench.ledger.store.read_records(limit=1000)
    raw = b"".join(one.header + one.payload for one in records)
    assert hashed is not None and token is not None
    for secret in (GOOD.encode(), made.secret.encode(), token.encode(), hashed):
        assert secret not in raw


async def test_a_weak_password_changes_nothing(bench):
    await bench.ada()
    before = len(await bench.events())
    with pytest.raises(PasswordWeakError):
        await bench.desk.administration.set_password("ada", "Password1234!", "person:root")
    assert len(await bench.events()) == before


async def test_what_the_log_says_of_a_person_can_be_erased(bench):
    await bench.desk.administration.add("ada", "person:root", email="ada@example.com")
    bench.ledger.keyring.destroy("account:person:ada")

    found = await bench.other().administration.find("ada")

    assert found.email == ""
