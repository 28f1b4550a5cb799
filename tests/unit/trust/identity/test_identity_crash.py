"""What a crash between two steps leaves behind: never half of one."""

from __future__ import annotations

import pytest

from agentsquad.kernel.errors import UnavailableError
from agentsquad.trust.identity.administration import Wanted
from agentsquad.trust.identity.contract import Shown, Visit
from agentsquad.trust.identity.directory import Directory
from agentsquad.trust.identity.tokens import Request

GOOD = "plum tractor quietly 7 boats"
HERE = Visit(address="10.0.0.1")


class Failing:
    """A log that cannot be written from some append on."""

    def __init__(self, store, appends: int) -> None:
        self._store, self._left = store, appends

    def __getattr__(self, name):
        return getattr(self._store, name)

    async def append(self, events, *, expect=None):
        if not self._left:
            raise UnavailableError("the disk is gone")
        self._left -= 1
        return await self._store.append(events, expect=expect)


def failing(desk, appends: int):
    desk.directory.store = Failing(desk.directory.store, appends)
    return desk


async def test_a_code_is_used_up_only_together_with_its_session(bench):
    await bench.ada()
    secret, _ = await bench.app()
    await bench.clock.advance(30_000)
    ticket = (await bench.desk.sign_in.begin("ada", GOOD, HERE)).ticket
    broken = failing(bench.other(), 0)
    with pytest.raises(UnavailableError):
        await broken.sign_in.verify(ticket, "totp", bench.code(secret), HERE)

    done = await bench.other().sign_in.verify(ticket, "totp", bench.code(secret), HERE)

    assert done.session is not None


async def test_a_code_becomes_tokens_only_together_with_being_used_up(bench):
    from agentsquad.trust.identity.oauth import challenge_of

    await bench.ada()
    session = await bench.session()
    who = await bench.desk.recognition.recognise(Shown(session=session.value, csrf=session.csrf))
    asked = await bench.desk.oauth.check(
        {
            "response_type": "code", "client_id": "squad-cli", "code_challenge_method": "S256",
            "redirect_uri": "http://127.0.0.1:1/callback", "code_challenge": challenge_of("a" * 43),
        }
    )  # fmt: skip
    address = await bench.desk.oauth.allow(asked, who)
    form = {
        "grant_type": "authorization_code", "client_id": "squad-cli", "code_verifier": "a" * 43,
        "code": address.split("code=")[1].split("&")[0],
    }  # fmt: skip
    with pytest.raises(UnavailableError):
        await failing(bench.other(), 1).oauth.token(form)  # the signing key is written first

    assert (await bench.other().oauth.token(form)).refresh_token is not None


async def test_a_refresh_that_was_not_written_leaves_the_old_token_good(bench):
    await bench.ada()
    made = await bench.desk.tokens.issue(Request(owner="ada", client="c", refresh=True))
    with pytest.raises(UnavailableError):
        await failing(bench.other(), 0).tokens.refresh(made.refresh_token, "c")
    assert await bench.desk.tokens.refresh(made.refresh_token, "c")


async def test_where_failures_cannot_be_written_nobody_signs_in_and_nobody_guesses(bench):
    await bench.ada()
    broken = failing(bench.other(), 0)
    for password in ("wrong", GOOD):
        with pytest.raises(UnavailableError):
            await broken.sign_in.begin("ada", password, HERE)


async def test_the_state_folded_at_once_and_event_by_event_is_the_same(bench):
    """Restart: what was known before is known after, to the letter."""
    await bench.ada(email="ada@example.com")
    await bench.app()
    office = bench.desk.administration
    await office.bootstrap()
    await office.add("nightly", "person:root", kind="service")
    made = await office.create_key(Wanted(owner="nightly"), "person:root")
    await office.grant("ada", "acme", "operator", "person:root")
    await bench.desk.tokens.issue(Request(owner="ada", client="c", refresh=True))
    await office.revoke_key(made.key.id, "person:root")

    fresh: Directory = bench.other().directory
    one, other = await bench.desk.directory.follow(), await fresh.follow()

    for name in ("accounts", "keys", "sessions", "families", "signing", "bootstrap", "revoked",
                 "gone", "clients", "at"):  # fmt: skip
        assert getattr(one, name) == getattr(other, name), name
