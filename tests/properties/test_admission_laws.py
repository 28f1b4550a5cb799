"""The laws of admission, whatever comes, ends and gives up."""

from __future__ import annotations

import asyncio

from hypothesis import example, given, settings
from hypothesis import strategies as st

from agentsquad.runtime.resilience.admission import Admission
from agentsquad.runtime.resilience.concurrency import Tuning
from agentsquad.runtime.resilience.contract import OverloadedError
from agentsquad.testing import ManualClock, SeededEntropy

TUNING = Tuning(at_once_min=2, at_once_first=3, at_once_max=6, waiting_max=8, intervals=1)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["come", "come", "come", "end", "give up", "snatch", "fail", "pass"]),
        st.integers(0, 9),
    ),
    max_size=60,
)


class Hall:
    """Clients at an admission: each enters, waits for the log, works."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.admission = Admission(self.clock, SeededEntropy(), TUNING)
        self.admission.bind(lambda: self.work)
        self.work = 0
        self.most = 0
        self.tasks: list[asyncio.Task[str]] = []

    def come(self, number: int) -> None:
        """Let a client come."""
        self.tasks.append(asyncio.get_running_loop().create_task(self._client(number)))

    async def _client(self, number: int) -> str:
        try:
            async with self.admission.entry(f"service:{number % 3}"):
                self.most = max(self.most, self.admission.at_work())
                await self.clock.sleep_ms(number * 20)
                if number == 9:
                    raise ValueError("the log said no")
                self.work += 1
        except OverloadedError as error:
            assert (error.retry_after_ms or 0) > 0
            return "refused"
        except ValueError:
            return "failed"
        return "begun"

    async def step(self, what: str, number: int) -> None:
        """Do one thing, and let everybody go on."""
        open_ = [task for task in self.tasks if not task.done()]
        if what == "come":
            self.come(number)
        elif what == "fail":
            self.come(9)
        elif what == "end" and self.work:
            self.work -= 1
        elif what == "give up" and open_:
            open_[number % len(open_)].cancel()
        elif what == "snatch" and self.work and open_:
            self.work -= 1
            self.admission.load()  # lets the next one in, who goes before he hears of it
            open_[number % len(open_)].cancel()
        elif what == "pass":
            await self.clock.advance(number * 100)
        await self.clock.advance(1)

    async def drain(self) -> None:
        """End whatever is at work until nobody comes after it."""
        for _ in range(200):
            self.work = 0
            await self.clock.advance(200)
            if all(task.done() for task in self.tasks):
                break
        self.work = 0


@given(STEPS)
@example([("come", 0)] * 4 + [("snatch", 0)])
@example([("come", 0)] * 4 + [("give up", 0), ("end", 0)])
@example([("fail", 9)] * 4 + [("come", 5), ("pass", 9)])
@settings(max_examples=60, deadline=None)
def test_everybody_is_let_in_refused_or_gone_and_no_place_is_lost(
    steps: list[tuple[str, int]],
) -> None:
    async def play() -> None:
        hall = Hall()
        for what, number in steps:
            await hall.step(what, number)
            load = hall.admission.load()
            assert load.waiting <= TUNING.waiting_max
            assert hall.most <= TUNING.at_once_max
        await hall.drain()
        ended = [("gone" if t.cancelled() else t.result()) for t in hall.tasks]
        load = hall.admission.load()
        assert load.waiting == 0
        assert load.at_work == 0
        assert load.admitted >= ended.count("begun") + ended.count("failed")
        assert load.refused >= ended.count("refused")
        assert len(ended) == len(hall.tasks)
        hall.come(0)
        await hall.clock.advance(10)
        assert hall.tasks[-1].result() == "begun"
        hall.admission.close()

    asyncio.run(play())
