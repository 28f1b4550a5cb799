"""Laws of lock-out, of codes that change with time, and of refresh tokens,
whatever happens in whatever order."""

from __future__ import annotations

import asyncio

import hypothesis.strategies as st
from hypothesis import given, settings

from agentsquad.runtime.ledger.plugin import open_ledger
from agentsquad.testing.clock import ManualClock
from agentsquad.testing.entropy import SeededEntropy
from agentsquad.trust.identity.adapters.ed25519_tokens import Ed25519Tokens
from agentsquad.trust.identity.adapters.home_key import KeySealer
from agentsquad.trust.identity.adapters.memory import QuickHasher
from agentsquad.trust.identity.adapters.passkeys import WebauthnKeys
from agentsquad.trust.identity.adapters.pyotp_codes import PyotpCodes
from agentsquad.trust.identity.contract import CredentialError, OAuthError, Shown
from agentsquad.trust.identity.credential import narrowed
from agentsquad.trust.identity.lockout import RULES, Attempts, Failures, failed, wait_ms
from agentsquad.trust.identity.office import Desk, Instruments
from agentsquad.trust.identity.providers import Protocols
from agentsquad.trust.identity.tokens import Request
from agentsquad.trust.identity.totp import DRIFT, fitting_step, step_at

RULE = st.sampled_from(sorted(RULES))
SPANS = st.lists(st.integers(0, 2_000_000), min_size=1, max_size=60)


@given(RULE, SPANS)
def test_a_wait_is_never_longer_than_its_rule_allows_and_always_ends(name, spans):
    rule, now, attempts = RULES[name], 10_000_000, Attempts()
    for span in spans:
        now += span
        attempts = failed(attempts, rule, now)
        wait = wait_ms(attempts, rule, now)
        assert 0 <= wait <= rule.most_ms
        assert wait_ms(attempts, rule, now + wait) == 0
        assert wait_ms(attempts, rule, now + rule.quiet_ms) == 0


@given(RULE, st.integers(0, 80))
def test_each_failure_makes_the_wait_no_shorter(name, count):
    rule = RULES[name]
    fewer, more = Attempts(count, 5), Attempts(count + 1, 5)
    assert wait_ms(fewer, rule, 5) <= wait_ms(more, rule, 5)


@given(st.lists(st.tuples(st.integers(0, 30_000), st.booleans()), max_size=200))
def test_a_guesser_never_gets_more_tries_than_the_rule_gives(steps):
    """Whoever tries whenever they may gets at most the free tries and one more
    after each wait."""
    failures, now, tries = Failures(), 1_000_000, []
    for span, _ in steps:
        now += span
        if failures.wait_ms("person:ada", "a", now) == 0:
            failures.note("person:ada", "a", now)
            tries.append(now)
    rule = RULES["pair"]
    for place in range(rule.free, len(tries)):
        gap = tries[place] - tries[place - 1]
        over = min(place - rule.free, 40)
        assert gap >= min(rule.first_ms << over, rule.most_ms) or gap >= rule.quiet_ms


@given(st.integers(0, 2**40), st.integers(-5, 5), st.integers(0, 3))
def test_a_code_counts_only_near_its_time_and_never_after_a_later_one_was_used(now_ms, away, used):
    def code_at(step: int) -> str:
        return f"{step % 1_000_000:06d}"

    now = step_at(now_ms)
    step = fitting_step(code_at(now + away), now_ms, now - used, code_at)
    if -DRIFT <= away <= DRIFT and away > -used:
        assert step == now + away
    else:
        assert step is None


PATTERN = st.sampled_from(["*", "runs.*", "runs.list", "runs.show", "users.*", "users.add"])


@given(st.lists(PATTERN, max_size=4), st.lists(PATTERN, max_size=4))
def test_a_narrowed_scope_is_never_wider(wide, asked):
    names = ("runs.list", "runs.show", "runs.cancel", "users.add", "models.ask")

    def allows(scopes, name):
        return any(one == "*" or one == name or one == name.split(".")[0] + ".*" for one in scopes)

    kept = narrowed(tuple(wide), tuple(asked))
    assert set(kept) <= set(asked)
    for name in names:
        if allows(kept, name):
            assert allows(wide, name)


MOVES = st.lists(
    st.one_of(
        st.tuples(st.just("refresh"), st.integers(0, 4), st.integers(0, 1)),
        st.tuples(st.just("revoke"), st.integers(0, 4), st.integers(0, 1)),
        st.tuples(st.just("wait"), st.integers(0, 900), st.just(0)),
    ),
    max_size=12,
)


@settings(max_examples=60)
@given(MOVES)
def test_refresh_tokens_count_once_and_reuse_ends_all(moves):
    asyncio.run(_play(moves))


async def _play(moves):
    clock, entropy = ManualClock(), SeededEntropy()
    ledger = open_ledger("memory:", clock, entropy)
    sealer, hasher = KeySealer(b"k" * 32, entropy), QuickHasher()
    instruments = Instruments(
        sealer=lambda: sealer, hasher=lambda: hasher, codes=PyotpCodes, keys=WebauthnKeys,
        signer=Ed25519Tokens, protocols=Protocols(oidc=dict, ldap=dict, saml=dict),
    )  # fmt: skip
    desks = [Desk(ledger.store, clock, entropy, instruments) for _ in range(2)]
    await desks[0].administration.add("ada", "person:root")
    first = await desks[0].tokens.issue(Request(owner="person:ada", client="c", refresh=True))
    sets, ended = [(first, clock.now_ms())], False
    for move, which, desk in moves:
        if move == "wait":
            await clock.advance(which * 1000)
            continue
        place = min(which, len(sets) - 1)
        shown = sets[place][0].refresh_token or ""
        if move == "revoke":
            await desks[desk].tokens.revoke(shown, "person:ada")
            ended = True
            continue
        try:
            made = await desks[desk].tokens.refresh(shown, "c")
        except OAuthError:
            assert ended or place != len(sets) - 1
            ended = True
        else:
            assert not ended and place == len(sets) - 1
            sets.append((made, clock.now_ms()))
        for made, begun in sets:
            alive = not ended and clock.now_ms() < begun // 1000 * 1000 + 600_000
            for one in desks:
                assert await _counts(one, made.access_token) == alive
    ledger.close()


async def _counts(desk, token):
    try:
        await desk.recognition.recognise(Shown(bearer=token))
    except CredentialError:
        return False
    return True
