"""Idempotency keys: one call, however often it is sent, whoever dies
meanwhile."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agentsquad.kernel.actor import Actor
from agentsquad.kernel.errors import InvalidError, MissingError, UnavailableError
from agentsquad.runtime.ledger.plugin import open_ledger
from agentsquad.surfaces.gateway.contract import (
    Answer,
    Call,
    Caller,
    File,
    KeyReusedError,
)
from agentsquad.surfaces.gateway.keys import Keys, KeySpentError, KeyUnknownError
from agentsquad.testing import ManualClock, SeededEntropy
from agentsquad.trust.identity.contract import Principal

ADA, BEN = (Principal(actor=Actor("person", name)) for name in ("ada", "ben"))


def a_call(key: str = "k-1", *, value: dict[str, Any] | None = None, who: Principal = ADA) -> Call:
    caller = Caller(principal=who, surface="rest")
    return Call(action="shop.pay", value=value or {"micros": 5}, caller=caller, key=key)


class Till:
    """Does what it is asked, slowly, and counts."""

    def __init__(self, answer: Answer | None = None) -> None:
        self.done = 0
        self.answer = answer or Answer(value={"paid": 5})
        self.failure: Exception | None = None

    async def __call__(self) -> Answer:
        await asyncio.sleep(0)
        self.done += 1
        if self.failure is not None:
            raise self.failure
        return self.answer


@pytest.fixture
def ledger():
    made = open_ledger("memory:", ManualClock(), SeededEntropy())
    yield made
    made.close()


@pytest.fixture
def keys(ledger):
    return Keys(ledger.store, ledger.blobs, lambda action: False)


async def test_a_thousand_copies_at_once_are_one_call(keys, ledger):
    till = Till()
    answers = await asyncio.gather(*(keys.once(a_call(), till) for _ in range(1000)))
    assert till.done == 1
    assert {msg.value["paid"] for msg in answers} == {5}
    assert sum(not one.replayed for one in answers) == 1
    assert await ledger.store.size() == 2


async def test_a_key_holds_after_a_restart(keys, ledger):
    till = Till(Answer(value={"paid": 5}, files=(File(name="a.txt", data=b"\x00\xff"),)))
    await keys.once(a_call(), till)
    again = await Keys(ledger.store, ledger.blobs, lambda action: False).once(a_call(), till)
    assert till.done == 1
    assert again == Answer(
        value={"paid": 5}, files=(File(name="a.txt", data=b"\x00\xff"),), replayed=True
    )


async def test_a_large_answer_is_kept_beside_the_log(keys, ledger):
    till = Till(Answer(value={"text": "x" * 100_000}))
    first = await keys.once(a_call(), till)
    again = await keys.once(a_call(), till)
    assert again.value == first.value
    events = await ledger.store.read(limit=10)
    assert "$blob" in events[-1].payload["answer"]


async def test_a_key_belongs_to_one_call_and_one_actor(keys):
    till = Till()
    await keys.once(a_call(), till)
    with pytest.raises(KeyReusedError):
        await keys.once(a_call(value={"micros": 6}), till)
    await keys.once(a_call(who=BEN), till)
    assert till.done == 2


async def test_an_answer_that_is_an_error_is_given_again(keys):
    till = Till()
    till.failure = MissingError("no such vendor", code="vendor.missing")
    for _ in range(2):
        with pytest.raises(MissingError) as told:
            await keys.once(a_call(), till)
        assert (told.value.code, told.value.message) == ("vendor.missing", "no such vendor")
    assert till.done == 1


async def test_what_may_be_tried_again_frees_the_key(keys):
    till = Till()
    till.failure = UnavailableError("the bank sleeps")
    with pytest.raises(UnavailableError):
        await keys.once(a_call(), till)
    till.failure = None
    assert (await keys.once(a_call(), till)).value == {"paid": 5}
    assert till.done == 2


async def test_a_call_that_died_in_the_middle_is_never_done_again_blindly(keys, ledger):
    class PowerCut(BaseException):
        pass

    async def cut() -> Answer:
        raise PowerCut

    with pytest.raises(PowerCut):
        await keys.once(a_call(), cut)
    till = Till()
    with pytest.raises(KeyUnknownError) as told:
        await Keys(ledger.store, ledger.blobs, lambda action: False).once(a_call(), till)
    assert till.done == 0
    assert told.value.details["accepted"] == 1


async def test_what_is_told_only_once_is_not_kept(ledger):
    keys = Keys(ledger.store, ledger.blobs, lambda action: True)
    till = Till(Answer(value={"secret": "sqk_very"}))
    assert (await keys.once(a_call(), till)).value == {"secret": "sqk_very"}
    with pytest.raises(KeySpentError):
        await keys.once(a_call(), till)
    assert "sqk_very" not in str([e.payload for e in await ledger.store.read(limit=10)])


@pytest.mark.parametrize("key", ["", "a" * 256, "tab\there", "ключ"])
async def test_a_key_that_is_none_is_refused(keys, key):
    with pytest.raises(InvalidError) as told:
        await keys.once(a_call(key), Till())
    assert told.value.code == "gateway.key"
