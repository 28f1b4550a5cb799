"""Claims: what Temporal is given instead of a run's events.

A claim names a run and a range of its journal. It is all that Temporal's
history ever holds of a run: no input, no output, no name. Where a worker takes
it up the events are read from the log, so that what is erased there is erased,
and a result may be as large as the log allows. Replaying a history gives the
same events each time, since a journal is only ever added to.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
from temporalio.api.common.v1 import Payload
from temporalio.converter import (
    CompositePayloadConverter,
    DataConverter,
    DefaultPayloadConverter,
    EncodingPayloadConverter,
    PayloadCodec,
)

from agentsquad.kernel.event import Event
from agentsquad.kernel.ports import EventStore

ENCODING = b"json/agentsquad-claim"


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """The events of a run's journal with `after` < `stream_seq` <= `upto`.

    `log` is the fingerprint of the log they stand in; `events` are theirs where
    a worker has taken the claim up, and never leave it.
    """

    run: str
    log: str
    after: int = 0
    upto: int = 0
    events: list[Event] = []


Prepare = Callable[[Claim], Awaitable[None]]
_read = msgspec.json.Decoder(Claim).decode
_write = msgspec.json.Encoder().encode


class ClaimConverter(EncodingPayloadConverter):
    """Claims on their way to Temporal, without their events, and back."""

    @property
    def encoding(self) -> str:
        """The name of the form."""
        return ENCODING.decode()

    def to_payload(self, value: Any) -> Payload | None:
        """Return the payload of a claim; None for anything else."""
        if not isinstance(value, Claim):
            return None
        bare = msgspec.structs.replace(value, events=[])
        return Payload(metadata={"encoding": ENCODING}, data=_write(bare))

    def from_payload(self, payload: Payload, type_hint: type | None = None) -> Claim:
        """Return a claim."""
        return _read(payload.data)


class Converter(CompositePayloadConverter):
    """Claims, and Temporal's own forms of plain values."""

    def __init__(self) -> None:
        super().__init__(
            ClaimConverter(), *DefaultPayloadConverter.default_encoding_payload_converters
        )


class ClaimCodec(PayloadCodec):
    """Takes claims up: reads the events they name from the log.

    `prepare` hears of each that holds a journal from its beginning, before the
    workflow does, to load the code it runs under.
    """

    def __init__(self, store: EventStore, log: str, prepare: Prepare) -> None:
        self._store = store
        self._log = log
        self._prepare = prepare

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Leave everything as it is."""
        return list(payloads)

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Return payloads with the events of their claims in them."""
        return [
            await self._taken_up(one) if one.metadata.get("encoding") == ENCODING else one
            for one in payloads
        ]

    async def _taken_up(self, payload: Payload) -> Payload:
        claim = _read(payload.data)
        if claim.log != self._log:
            # The task fails and is tried again, by a worker of that log.
            raise RuntimeError(f"run {claim.run} stands in log {claim.log}, here is {self._log}")
        missing = claim.upto - claim.after
        if missing <= 0:
            return payload
        found = await self._store.read_stream(f"run/{claim.run}", after=claim.after, limit=missing)
        if len(found) != missing:
            raise RuntimeError(
                f"the journal of run {claim.run} is shorter than it was: "
                f"{claim.after + len(found)} events, not {claim.upto}"
            )
        full = msgspec.structs.replace(claim, events=found)
        if claim.after == 0:
            await self._prepare(full)
        return Payload(metadata=dict(payload.metadata), data=_write(full))


def converter(codec: ClaimCodec | None = None) -> DataConverter:
    """Return how values reach Temporal; with a codec claims are taken up."""
    return DataConverter(payload_converter_class=Converter, payload_codec=codec)
