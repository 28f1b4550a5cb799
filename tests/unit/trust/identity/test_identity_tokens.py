from __future__ import annotations

import asyncio
import base64
import json

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet, OctKey, OKPKey

from agentsquad.trust.identity.contract import CredentialError, OAuthError, Shown
from agentsquad.trust.identity.tokens import ACCESS_MS, Request

MINUTE = 60_000
DAY = 86_400_000
ISSUER = "https://squad.example.com"


async def issue(bench, **options):
    await bench.ada()
    await bench.desk.administration.grant("ada", "acme", "operator", "person:root")
    return await bench.desk.tokens.issue(
        Request(**{"owner": "person:ada", "client": "squad-cli", "refresh": True, **options})
    )


async def known(desk, token):
    return await desk.recognition.recognise(Shown(bearer=token))


async def refused(desk, token):
    with pytest.raises(CredentialError):
        await known(desk, token)


async def test_an_access_token_stands_for_its_owner_with_its_scopes(bench):
    made = await issue(bench, scopes=("runs.*",), method="password+totp")

    who = await known(bench.other(), made.access_token)

    assert (str(who.actor), who.scopes, who.method) == ("person:ada", ("runs.*",), "password+totp")
    assert who.roles("acme") == ("operator",)
    assert who.credential.startswith("token:") and made.expires_in == 600


async def test_anybody_can_check_a_token_by_the_published_keys(bench):
    made = await issue(bench, within=("acme",))
    keys = KeySet.import_key_set(await bench.desk.tokens.jwks())

    token = jwt.decode(made.access_token, keys, algorithms=["Ed25519"])

    assert token.header["typ"] == "at+jwt"
    assert token.claims["iss"] == token.claims["aud"] == ISSUER
    assert (token.claims["sub"], token.claims["namespaces"]) == ("person:ada", ["acme"])
    assert set(token.claims) == {
        "iss", "aud", "sub", "client_id", "iat", "exp", "jti", "sid", "scope", "namespaces"
    }  # fmt: skip


async def test_an_access_token_ends_after_ten_minutes(bench):
    made = await issue(bench)
    await bench.clock.advance(ACCESS_MS - 1000)
    await known(bench.desk, made.access_token)
    await bench.clock.advance(1000)
    await refused(bench.desk, made.access_token)


@pytest.mark.parametrize(
    "by", ["token", "refresh", "family", "disable", "delete", "password", "grant"]
)
async def test_what_is_revoked_elsewhere_is_refused_on_the_next_request(bench, by):
    made = await issue(bench)
    elsewhere = bench.other()
    before = await known(bench.desk, made.access_token)
    if by == "token":
        assert await elsewhere.tokens.revoke(made.access_token, "person:ada")
    elif by == "refresh":
        assert await elsewhere.tokens.revoke(made.refresh_token, "person:ada")
    elif by == "family":
        (family,) = await elsewhere.tokens.families("ada")
        assert await elsewhere.tokens.revoke_family(family.id, "person:root")
    elif by == "disable":
        await elsewhere.administration.disable("ada", "person:root")
    elif by == "delete":
        await elsewhere.administration.delete("ada", "person:root")
    elif by == "password":
        await elsewhere.administration.set_password("ada", "plum tractor 8 boats", "person:ada")
    else:
        await elsewhere.administration.ungrant("ada", "acme", "operator", "person:root")

    if by == "grant":
        assert before.roles("acme") == ("operator",)
        assert (await bench.desk.recognition.confirm(before)).roles("acme") == ()
        assert (await known(bench.desk, made.access_token)).roles("acme") == ()
    else:
        with pytest.raises(CredentialError):
            await bench.desk.recognition.confirm(before)
        await refused(bench.desk, made.access_token)
    if by == "token":  # what it came from goes on
        assert await bench.desk.tokens.refresh(made.refresh_token, "squad-cli")


async def test_a_refresh_token_is_exchanged_once(bench):
    first = await issue(bench)
    second = await bench.desk.tokens.refresh(first.refresh_token, "squad-cli")
    third = await bench.other().tokens.refresh(second.refresh_token, "squad-cli")

    assert len({first.refresh_token, second.refresh_token, third.refresh_token}) == 3
    await known(bench.desk, third.access_token)


@pytest.mark.parametrize("age", [0, 1])
async def test_one_shown_twice_ends_everything_that_came_from_it(bench, age):
    made = [await issue(bench)]
    for _ in range(2):
        made.append(await bench.desk.tokens.refresh(made[-1].refresh_token, "squad-cli"))

    with pytest.raises(OAuthError) as caught:
        await bench.other().tokens.refresh(made[age].refresh_token, "squad-cli")

    assert caught.value.error == "invalid_grant"
    for one in made:
        await refused(bench.desk, one.access_token)
        with pytest.raises(OAuthError):
            await bench.desk.tokens.refresh(one.refresh_token, "squad-cli")
    (ended,) = await bench.events("token.family_ended")
    assert ended.payload["reason"] == "a refresh token was shown twice"


async def test_of_two_processes_with_one_refresh_token_at_most_one_gets_tokens(bench):
    made = await issue(bench)
    one, other = bench.desk, bench.other()
    ends = await asyncio.gather(
        one.tokens.refresh(made.refresh_token, "squad-cli"),
        other.tokens.refresh(made.refresh_token, "squad-cli"),
        return_exceptions=True,
    )
    assert [type(end) for end in ends].count(OAuthError) >= 1
    assert len(await bench.events("token.rotated")) == 1


async def test_a_refresh_token_is_good_for_its_own_client_and_for_thirty_days(bench):
    made = await issue(bench)
    with pytest.raises(OAuthError):
        await bench.desk.tokens.refresh(made.refresh_token, "another")
    await bench.clock.advance(30 * DAY)
    with pytest.raises(OAuthError):
        await bench.desk.tokens.refresh(made.refresh_token, "squad-cli")


async def test_a_refresh_can_ask_for_less_and_never_for_more(bench):
    made = await issue(bench, scopes=("runs.*",))
    with pytest.raises(OAuthError) as caught:
        await bench.desk.tokens.refresh(made.refresh_token, "squad-cli", ("users.add",))
    assert caught.value.error == "invalid_scope"
    less = await bench.desk.tokens.refresh(made.refresh_token, "squad-cli", ("runs.list",))
    assert (await known(bench.desk, less.access_token)).scopes == ("runs.list",)


async def test_an_old_key_verifies_until_its_last_token_has_ended(bench):
    made = await issue(bench)
    old = (await bench.desk.tokens.jwks())["keys"][0]["kid"]
    await bench.other().tokens.rotate_key("person:root")
    await known(bench.desk, made.access_token)
    assert len((await bench.desk.tokens.jwks())["keys"]) == 2

    await bench.clock.advance(ACCESS_MS + MINUTE)

    kids = [one["kid"] for one in (await bench.desk.tokens.jwks())["keys"]]
    assert len(kids) == 1 and old not in kids


async def test_after_ninety_days_tokens_are_signed_with_a_new_key(bench):
    first = await issue(bench)
    await bench.clock.advance(91 * DAY)
    second = await bench.desk.tokens.issue(Request(owner="person:ada", client="squad-cli"))
    kids = [
        json.loads(base64.urlsafe_b64decode(one.access_token.split(".")[0] + "=="))["kid"]
        for one in (first, second)
    ]
    assert kids[0] != kids[1] and len(await bench.events("signing.key_added")) == 2


def forged(made, **changes):
    """The same claims, signed with another key or otherwise."""
    head, body, _ = made.access_token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    header = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    return {**header, **changes.pop("header", {})}, {**claims, **changes}


@pytest.mark.parametrize("how", ["other key", "none", "hmac", "cut", "kid", "two parts"])
async def test_a_token_that_we_did_not_sign_does_not_count(bench, how):
    made = await issue(bench)
    header, claims = forged(made)
    public = (await bench.desk.tokens.jwks())["keys"][0]["x"]

    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    if how == "other key":
        bad = jwt.encode(header, claims, OKPKey.generate_key("Ed25519"), algorithms=["Ed25519"])
    elif how == "none":
        bad = f"{part({**header, 'alg': 'none'})}.{part(claims)}."
    elif how == "hmac":
        key = OctKey.import_key(public)
        bad = jwt.encode({**header, "alg": "HS256"}, claims, key, algorithms=["HS256"])
    elif how == "cut":
        bad = made.access_token[:-8]
    elif how == "kid":
        bad = jwt.encode(
            {**header, "kid": "other"}, claims, OKPKey.generate_key("Ed25519"),
            algorithms=["Ed25519"],
        )  # fmt: skip
    else:
        bad = made.access_token.rpartition(".")[0]
    await refused(bench.desk, bad)


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "https://evil.example.com"},
        {"aud": "another"},
        {"sub": "person:root"},
        {"sid": "nothing"},
        {"exp": "soon"},
        {"iat": 99_999_999_999},
        {"header": {"typ": "JWT"}},
    ],
)
async def test_a_token_of_ours_that_says_anything_else_does_not_count(bench, change):
    made = await issue(bench)
    header, claims = forged(made, **change)
    state = bench.desk.directory.state
    (key,) = state.signing.values()
    secret = bench.sealer.unseal(f"signing/{key.kid}", key.sealed)
    private = OKPKey.import_key(
        {
            "kty": "OKP", "crv": "Ed25519", "x": key.public,
            "d": base64.urlsafe_b64encode(secret).decode().rstrip("="),
        }
    )  # fmt: skip
    good = jwt.encode(*forged(made), private, algorithms=["Ed25519"])
    await known(bench.desk, good)

    await refused(bench.desk, jwt.encode(header, claims, private, algorithms=["Ed25519"]))


async def test_introspection_says_what_counts_now_and_nothing_of_what_does_not(bench):
    made = await issue(bench, scopes=("runs.*",))
    told = await bench.other().tokens.introspect(made.access_token)
    assert {"active", "scope", "client_id", "username", "token_type", "exp", "iat", "sub", "aud",
            "iss", "jti"} <= set(told)  # fmt: skip
    assert (told["active"], told["scope"], told["token_type"]) == (True, "runs.*", "Bearer")
    assert (await bench.desk.tokens.introspect(made.refresh_token))["active"] is True

    await bench.desk.tokens.revoke(made.refresh_token, "person:ada")

    for token in (made.access_token, made.refresh_token, "nonsense", "", "a.b.c"):
        assert await bench.desk.tokens.introspect(token) == {"active": False}


async def test_to_revoke_what_is_no_token_changes_nothing(bench):
    made = await issue(bench)
    before = len(await bench.events())
    assert not await bench.desk.tokens.revoke("nonsense", "person:ada")
    assert not await bench.desk.tokens.revoke(made.access_token, "person:ada", client="another")
    assert len(await bench.events()) == before


async def test_no_token_and_no_signing_key_is_in_the_log(bench):
    made = await issue(bench)
    (key,) = bench.desk.directory.state.signing.values()
    secret = bench.sealer.unseal(f"signing/{key.kid}", key.sealed)
    raw = b"".join(one.payload for one in await bench.ledger.store.read_records(limit=1000))
    for text in (
        made.access_token.encode(),
        made.refresh_token.encode(),
        secret,
        secret.hex().encode(),
    ):
        assert text not in raw
