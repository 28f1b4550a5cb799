"""Laws of the fencing token, over drawn histories of three processes on one
PostgreSQL: whatever they do in whatever order, a write under a token counts
only while no other has been given out.
"""

from __future__ import annotations

import asyncio
import importlib.util
import uuid
from pathlib import Path
from typing import Any

import pytest
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from agentsquad.kernel.errors import SquadError
from agentsquad.runtime.ledger.verification import verify

_path = Path(__file__).parents[1] / "conformance" / "ledger_kit.py"
_spec = importlib.util.spec_from_file_location("ledger_kit", _path)
assert _spec and _spec.loader
kit = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(kit)

OVER, LONG = 0, 3_600_000  # a lease that has run out at once, and one that does not
WHO = st.integers(0, 2)
MOVES = st.one_of(
    st.tuples(st.just("take"), WHO, st.sampled_from((OVER, OVER, OVER, LONG))),
    st.tuples(st.just("take"), WHO, st.just(OVER)),
    st.tuples(st.just("write"), WHO, st.just(0)),
    st.tuples(st.just("renew"), WHO, st.sampled_from((OVER, LONG))),
    st.tuples(st.just("write"), WHO, st.just(0)),
    st.tuples(st.just("write"), WHO, st.just(0)),
    st.tuples(st.just("release"), WHO, st.just(0)),
    st.tuples(st.just("forget"), WHO, st.just(0)),
    st.tuples(st.just("stop amid a commit"), WHO, st.just(0)),
)


class Model:
    """What must hold: the newest token, who has it, and whether it still
    counts.
    """

    def __init__(self) -> None:
        self.token = 0
        self.holder: int | None = None
        self.counts = False  # a lease that has not run out
        self.held: list[int | None] = [None, None, None]
        self.written = 0

    def take(self, who: int, ttl: int) -> None:
        if not self.counts:
            self.token += 1
            self.holder, self.counts = who, ttl == LONG
            self.held[who] = self.token
        elif self.holder == who:
            self.held[who] = self.token

    def may_write(self, who: int) -> bool:
        return self.held[who] in (None, self.token)


async def play(url: str, moves: list[tuple[str, int, int]]) -> None:
    ledgers = [kit.open_test_ledger(url, str(n)) for n in range(3)]
    model = Model()
    for move, who, ttl in moves:
        tenure, store = ledgers[who].tenure, ledgers[who].store
        if move == "take":
            said = tenure.take(ttl)
            model.take(who, ttl)
            assert said.token == model.token
        elif move == "renew":
            mine = model.holder == who and model.held[who] == model.token
            assert tenure.renew(ttl) is mine
            model.counts = ttl == LONG if mine else model.counts
        elif move == "release":
            if model.holder == who and model.held[who] == model.token:
                model.holder, model.counts = None, False
            model.held[who] = None
            tenure.release()
        elif move == "forget":
            model.held[who] = None
            tenure.forget()
        elif move == "write" and model.may_write(who):
            await store.append([kit.event(f"of/{who}")])
            model.written += 1
        elif move == "write":
            with pytest.raises(SquadError) as caught:
                await store.append([kit.event(f"of/{who}")])
            assert caught.value.code == "ledger.fenced"
        elif model.may_write(who):  # it locks the head and its connection dies
            store.volume.begin()
            store.volume._wire.drop()
        assert tenure.held == model.held[who]
    fenced = sum(move == "write" for move, _, _ in moves) - model.written
    event(f"{fenced} refused")
    assert await ledgers[0].store.size() == model.written
    assert ledgers[0].tenure.standing().token == model.token
    assert (await verify(ledgers[0], lambda done, total: None)).valid
    for ledger in ledgers:
        ledger.close()


@pytest.mark.slow
@given(moves=st.lists(MOVES, min_size=20, max_size=50))
@example(moves=[("take", 0, OVER), ("take", 1, LONG), ("write", 0, 0), ("write", 1, 0)])
@example(
    moves=[("take", 0, OVER), ("stop amid a commit", 0, 0), ("take", 1, OVER), ("write", 0, 0)]
)
@settings(max_examples=20)
def test_only_the_newest_token_writes(
    postgresql_server: dict[str, Any], moves: list[tuple[str, int, int]]
) -> None:
    asyncio.run(play(f"{postgresql_server['url']}?schema=t_{uuid.uuid4().hex[:16]}", moves))
