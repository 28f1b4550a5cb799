"""Connection: one client, what it follows and what it called.

Each subscription and each call has a task; all of them send through one lock.
A send that waits for the client holds up the subscriptions, which then read on
from the log later: nothing piles up here.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import Coroutine
from typing import Any

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from agentsquad.kernel.errors import BugError, SquadError
from agentsquad.runtime.ledger.contract import ClosedError
from agentsquad.surfaces.gateway.contract import Call, Caller, Following
from agentsquad.surfaces.gateway.http import problem, problem_of
from agentsquad.surfaces.websocket.contract import (
    ENDS,
    PROTOCOL,
    RESTART,
    TEXT_ONLY,
    TOO_BIG,
    AnswerMessage,
    Beat,
    CallMessage,
    CrowdedError,
    Failure,
    FromClient,
    FromServer,
    Hello,
    HelloError,
    MessageError,
    Ping,
    Pong,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Unsubscribed,
    Welcome,
    close_code,
)
from agentsquad.surfaces.websocket.crowd import Crowd
from agentsquad.surfaces.websocket.handshake import Handshake

REASON_BYTES = 120  # a close frame has room for 123
FAREWELL_S = 1.0  # how long a client that reads nothing is waited for

_decode = msgspec.json.Decoder(FromClient).decode
_encode = msgspec.json.Encoder().encode


class Connection:
    """One client."""

    def __init__(self, websocket: WebSocket, crowd: Crowd) -> None:
        self._websocket = websocket
        self._crowd = crowd
        self._gateway = crowd.gateway
        self._limits = crowd.limits
        self._handshake = Handshake(websocket)
        self._lock = asyncio.Lock()
        self._subscriptions: dict[str, asyncio.Task[None]] = {}
        self._calls: dict[str, asyncio.Task[None]] = {}
        self._errands: set[asyncio.Task[None]] = set()
        self._talk: asyncio.Task[None] | None = None
        self._ending: tuple[int, str] | None = None
        self.caller: Caller | None = None
        self.since_ms = self.sent_ms = crowd.clock.monotonic_ms()
        self.sending_ms: float | None = None

    async def serve(self) -> None:
        """Serve the client until either side ends it."""
        try:
            self._crowd.join(self)
        except CrowdedError as error:
            await self._websocket.send_denial_response(problem(error))
            return
        try:
            if await self._open():
                self._talk = asyncio.ensure_future(self._converse())
                if self._ending is not None:  # while it was opened
                    self._talk.cancel()
                await asyncio.wait({self._talk})
        finally:
            self._crowd.part(self)
            await self._finish()

    async def _open(self) -> bool:
        """Accept; where the request says who asks, only if they may come
        in."""
        if self._handshake.says_who:
            try:
                self._crowd.know(self, await self._handshake.enter(self._gateway))
            except SquadError as error:
                await self._websocket.send_denial_response(problem(error))
                return False
        await self._websocket.accept(subprotocol=self._handshake.protocol)
        return True

    async def _converse(self) -> None:
        try:
            if self.caller is not None:
                await self._welcome(self.caller)
            while True:
                message = await self._websocket.receive()
                if message["type"] == "websocket.disconnect":
                    return
                await self._hear(message.get("text"))
        except WebSocketDisconnect:
            return
        except SquadError as error:
            self._ending = (close_code(error), error.message)
        except RuntimeError as error:  # of starlette, when the other side was quicker
            if self._websocket.application_state.name == "CONNECTED":
                self._ending = (close_code(BugError(private=repr(error))), "")

    async def _hear(self, text: str | None) -> None:
        if text is None:
            self.end(TEXT_ONLY, "messages are JSON in text frames")
            return
        if len(text) > self._limits.message_bytes or (
            len(text) * 4 > self._limits.message_bytes
            and len(text.encode()) > self._limits.message_bytes
        ):
            self.end(TOO_BIG, f"a message has at most {self._limits.message_bytes} bytes")
            return
        try:
            message = _decode(text)
        except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
            said = MessageError(
                f"not a message: {error}" if isinstance(error, msgspec.DecodeError) else None,
                hint="see /asyncapi.json",
            )
            if self.caller is None:
                raise said from error
            await self._fail("", said)
            return
        if self.caller is None:
            if not isinstance(message, Hello):
                raise HelloError
            caller = await self._handshake.greet(self._gateway, message)
            self._crowd.know(self, caller)
            await self._welcome(caller)
        else:
            await self._answer(message, self.caller)

    async def _answer(self, message: FromClient, caller: Caller) -> None:
        match message:
            case Subscribe():
                self._begin(
                    self._subscriptions,
                    self._limits.subscriptions,
                    message.id,
                    self._pump(message, caller),
                )
            case Unsubscribe():
                task = self._subscriptions.pop(message.id, None)
                if task is not None:
                    task.cancel()
                    await asyncio.wait({task})
                await self._say(Unsubscribed(message.id))
            case CallMessage():
                self._begin(
                    self._calls, self._limits.calls, message.id, self._call(message, caller)
                )
            case Ping():
                await self._say(Pong(message.n))
            case Hello():
                await self._fail("", MessageError("who you are has been said already"))

    def _begin(
        self,
        tasks: dict[str, asyncio.Task[None]],
        most: int,
        name: str,
        work: Coroutine[Any, Any, None],
    ) -> None:
        """Start a subscription or a call, or say why not."""
        refusal: SquadError | None = None
        if name in tasks:
            refusal = MessageError(f"{name!r} is under way already", hint="choose another id")
        elif len(tasks) >= most:
            refusal = CrowdedError(f"at most {most} at once on one connection")
        if refusal is not None:
            work.close()
            self._errand(self._fail(name, refusal))
            return
        task = tasks[name] = asyncio.ensure_future(work)

        def ended(done: asyncio.Task[None]) -> None:
            if tasks.get(name) is done:
                del tasks[name]
            if not done.cancelled():
                done.exception()

        task.add_done_callback(ended)

    def _errand(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())

    async def _pump(self, wish: Subscribe, caller: Caller) -> None:
        """Send the events of a subscription, as fast as the client takes
        them."""
        try:
            after = wish.after
            if after is None:
                after = await self._gateway.place(caller)
            await self._say(Subscribed(wish.id, after))
            what = Following(after=after, types=wish.types, streams=wish.streams)
            head = b'{"type":"event","id":' + _encode(wish.id) + b',"event":'
            async for event in self._gateway.follow(caller, what):
                await self._send((head + _encode(event) + b"}").decode())
        except ClosedError:
            self.end(RESTART, ENDS)
        except SquadError as error:
            await self._fail(wish.id, error)

    async def _call(self, asked: CallMessage, caller: Caller) -> None:
        call = Call(
            action=asked.action,
            value=asked.input,
            caller=self.caller or caller,
            key=asked.key,
            timeout_ms=asked.timeout_ms,
        )
        try:
            answer = await self._gateway.call(call)
        except SquadError as error:
            await self._fail(asked.id, error)
            return
        except WebSocketDisconnect:
            raise
        except Exception as error:  # noqa: BLE001 - the client must not wait for ever
            await self._fail(asked.id, BugError(private=repr(error)))
            return
        files = tuple(
            {
                "name": file.name,
                "media_type": file.media_type,
                "base64": base64.b64encode(file.data).decode(),
            }
            for file in answer.files
        )
        await self._say(AnswerMessage(asked.id, answer.value, files, answer.replayed))

    # --- sending

    async def _welcome(self, caller: Caller) -> None:
        await self._say(
            Welcome(
                PROTOCOL,
                str(caller.principal.actor),
                caller.namespace,
                self._limits.heartbeat_ms,
                self._limits,
            )
        )

    async def _fail(self, name: str, error: SquadError) -> None:
        await self._say(Failure(name, problem_of(error)[1]))

    async def _say(self, message: FromServer) -> None:
        await self._send(_encode(message).decode())

    async def _send(self, text: str) -> None:
        async with self._lock:
            if self._ending is not None:
                raise WebSocketDisconnect(self._ending[0])
            self.sending_ms = self._crowd.clock.monotonic_ms()
            try:
                await self._websocket.send({"type": "websocket.send", "text": text})
            finally:
                self.sending_ms = None
                self.sent_ms = self._crowd.clock.monotonic_ms()

    # --- what the crowd asks for

    def end(self, code: int, reason: str) -> None:
        """Close the connection soon."""
        if self._ending is None:
            self._ending = (code, reason)
            if self._talk is not None:
                self._talk.cancel()

    def beat(self) -> None:
        """Send a sign of life."""
        self._errand(self._say(Beat(self._crowd.clock.now_ms())))

    def changed(self, caller: Caller) -> None:
        """Take note of other grants; who may no longer see events goes."""
        self.caller = caller
        if self._subscriptions:
            self._errand(self._look_again(caller))

    async def _look_again(self, caller: Caller) -> None:
        try:
            await self._gateway.place(caller)
        except SquadError as error:
            self.end(close_code(error), error.message)

    async def _finish(self) -> None:
        """End what is under way and say goodbye."""
        tasks = [*self._subscriptions.values(), *self._calls.values(), *self._errands]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        if self._websocket.application_state.name != "CONNECTED" or self._ending is None:
            return
        code, reason = self._ending
        with contextlib.suppress(TimeoutError, WebSocketDisconnect, RuntimeError, OSError):
            async with asyncio.timeout(FAREWELL_S):
                await self._websocket.close(code, _short(reason))


def _short(reason: str) -> str:
    return reason.encode()[:REASON_BYTES].decode(errors="ignore")
