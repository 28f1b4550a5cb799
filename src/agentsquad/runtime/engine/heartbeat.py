"""Heartbeats: signs of life of steps under way, and what happens without them.

What a step says with its beats is shown while it runs, handed to the next try,
and written to the log once, when it ends: thousands of beats cost one line.

Laws: an action that must beat and does not is stopped within `heartbeat_ms` of
its last beat, as a failure that may be retried; the last detail survives a
retry, and with a place for it a crash.
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from agentsquad.kernel.errors import InvalidError
from agentsquad.runtime.engine.inbound.contract import Beat, Pulses, SilentError

DETAIL_SIZE_MAX = 16_384  # bytes
_write = msgspec.json.Encoder().encode
_read = msgspec.json.Decoder().decode


class Heart:
    """The beats of one step, over all its tries; `before` is what was said last
    before this try.

    The door makes it, of its own `World` and `Step`, which are not named here.
    """

    def __init__(self, world: Any, step: Any) -> None:
        self._clock = world.clock
        self._step = step
        self._pulses: Pulses | None = None
        self._guards: set[asyncio.Timeout] = set()
        self._loop = asyncio.get_running_loop()
        self._since_ms = self._clock.now_ms()
        self.count = 0
        self.detail: Any = None
        self.before: Any = None
        if step.run is not None and world.ports.has(Pulses):
            self._pulses = world.ports.get(Pulses)
            last = self._pulses.last(step.run, step.position)
            self.before = self.detail = None if last is None else last.detail

    @classmethod
    def of(cls, world: Any, step: Any) -> Heart:
        """Return the step's, made when it is needed first."""
        heart: Heart | None = step.beat
        if heart is None:
            heart = step.beat = cls(world, step)
        return heart

    def beat(self, detail: Any) -> None:
        """Show that the action lives; from any thread."""
        if detail is not None:
            self.detail = _plain(detail)
        self.count += 1
        if self._pulses is not None:
            step = self._step
            self._pulses.put(
                Beat(
                    run=step.run or "",
                    position=step.position,
                    action=step.action.name,
                    attempt=step.attempts,
                    count=self.count,
                    since_ms=self._since_ms,
                    at_ms=self._clock.now_ms(),
                    detail=self.detail,
                )
            )
        if self._guards:
            if asyncio._get_running_loop() is self._loop:
                self._put_off()
            else:
                self._loop.call_soon_threadsafe(self._put_off)

    def _put_off(self) -> None:
        spec = self._step.action.spec
        assert spec.heartbeat_ms is not None
        for guard in self._guards:
            if not guard.expired():
                guard.reschedule(self._loop.time() + spec.heartbeat_ms / 1000)

    async def watch(self, context: Any, limit_ms: int | None) -> Any:
        """Carry out one try of the action, stopped when it falls silent."""
        action = self._step.action
        silence = action.spec.heartbeat_ms
        assert silence is not None
        self.before = self.detail
        begun = self.count
        guard = asyncio.timeout(silence / 1000)
        try:
            async with asyncio.timeout(None if limit_ms is None else limit_ms / 1000), guard:
                self._guards.add(guard)
                return await action.fn(context, self._step.value)
        except TimeoutError as error:
            if not guard.expired():
                raise
            raise SilentError(
                f"{action.name} gave no sign of life for {silence} ms",
                hint="call ctx.heartbeat() more often, or raise heartbeat_ms",
                details={"action": action.name, "heartbeat_ms": silence,
                         "beats": self.count - begun, "last": self.detail},
            ) from error  # fmt: skip
        finally:
            self._guards.discard(guard)

    def end(self) -> dict[str, Any]:
        """Forget the step, and return what its event says of its beats."""
        if self._pulses is not None and self._step.run is not None:
            self._pulses.drop(self._step.run, self._step.position)
        if not self.count:
            return {}
        return {"heartbeats": {"count": self.count, "detail": self.detail}}


def _plain(detail: Any) -> Any:
    try:
        text = _write(detail)
    except (TypeError, ValueError) as error:
        raise InvalidError(
            f"what a heartbeat says must be JSON: {error}", code="heartbeat.detail"
        ) from error
    if len(text) > DETAIL_SIZE_MAX:
        raise InvalidError(
            f"a heartbeat says {len(text)} bytes; {DETAIL_SIZE_MAX} at most",
            code="heartbeat.detail",
            hint="say where it is, and keep what it made elsewhere",
        )
    return _read(text)
