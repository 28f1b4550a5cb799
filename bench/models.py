"""Cost of one plain model call, in processor milliseconds, beside httpx alone
and the vendor's SDK.

    python bench/models.py [--calls 400] [--local]

A server in another process answers every call alike, so only the client's own
work is counted. Each client makes the same calls in turn, several rounds over,
and the median round is printed with the ratio to httpx alone. `--local` times
the model that runs on this machine as well.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import statistics
import time
from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from typing import Any

from agentsquad.integrations.connectors.ai.contract import Limits, Secret
from agentsquad.kernel.action import RetryPolicy
from agentsquad.workforce.agents.contract import Message, ModelRequest

QUESTION = "Match this line to the order: 12 boxes of A4 paper."
ANSWER = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "gpt-4o",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Line 3 of the order. " * 6},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 40, "completion_tokens": 36, "total_tokens": 76},
    }
).encode()
ROUNDS = 5
Call = Callable[[], Awaitable[Any]]


class SystemClock:
    """Real time."""

    def now_ms(self) -> int:
        """Return wall-clock milliseconds."""
        return int(time.time() * 1000)

    def monotonic_ms(self) -> float:
        """Return milliseconds that never go back."""
        return time.monotonic() * 1000

    async def sleep_ms(self, duration_ms: float) -> None:
        """Wait."""
        await asyncio.sleep(duration_ms / 1000)


class SystemEntropy:
    """Real chance."""

    def token(self, size: int) -> bytes:
        """Return random bytes."""
        return os.urandom(size)


def serve(port: Any) -> None:
    """Answer every request alike, in a process of its own."""

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(ANSWER)}"
        try:
            while True:
                request = await reader.readuntil(b"\r\n\r\n")
                size = int(request.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
                await reader.readexactly(size)
                writer.write(head.encode() + b"\r\n\r\n" + ANSWER)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def main() -> None:
        server = await asyncio.start_server(one, "127.0.0.1", 0)
        port.put(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


async def clients(url: str) -> dict[str, Call]:
    """Return one way to make the same call for each client."""
    import httpx

    from agentsquad.integrations.connectors.ai.adapters.http import HttpxTransport
    from agentsquad.integrations.connectors.ai.guard import GuardedModel
    from agentsquad.integrations.connectors.ai.openai import plugin
    from agentsquad.integrations.connectors.ai.price import DatedPrices

    clock = SystemClock()
    headers = {"authorization": Secret("Bearer k")}
    model = plugin.build("openai", url, HttpxTransport(), clock, headers)
    limits = Limits(requests=10**9, tokens=10**12)
    guarded = GuardedModel(
        model, limits, DatedPrices("openai"), RetryPolicy(), clock, SystemEntropy()
    )
    request = ModelRequest(model="gpt-4o", messages=(Message(role="user", content=QUESTION),))
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": QUESTION}]}
    raw = httpx.AsyncClient(headers={"authorization": "Bearer k"})

    async def plain() -> Any:
        reply = await raw.post(f"{url}/chat/completions", json=body)
        return reply.json()["choices"][0]["message"]["content"]

    found: dict[str, Call] = {
        "httpx alone": plain,
        "agentsquad adapter": lambda: model.complete(request),
        "agentsquad guarded (rates, price, retry, deadline)": lambda: guarded.complete(request),
    }
    if find_spec("openai") is not None:
        import openai

        sdk = openai.AsyncOpenAI(base_url=url, api_key="k")
        found["openai SDK"] = lambda: sdk.chat.completions.create(**body)  # type: ignore[call-overload]
    return found


async def measure(url: str, calls: int) -> None:
    """Print processor milliseconds a call for each client."""
    ways = await clients(url)
    for call in ways.values():
        for _ in range(20):
            await call()
    rounds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, call in ways.items():
            before = time.process_time()
            for _ in range(calls):
                await call()
            rounds[name].append((time.process_time() - before) * 1000 / calls)
    base = statistics.median(rounds["httpx alone"])
    print(f"{'client':<52}{'cpu-ms':>8}{'ratio':>8}")
    for name, took in rounds.items():
        middle = statistics.median(took)
        print(f"{name:<52}{middle:>8.3f}{middle / base:>8.2f}")


async def measure_local() -> None:
    """Print how long the model on this machine takes for a short JSON answer
    and embeddings.
    """
    from agentsquad.integrations.connectors.ai.local import plugin

    missing = plugin.lacking({})
    if missing is not None:
        print(f"local models: {missing}")
        return
    schema = {
        "type": "object",
        "properties": {
            "subject": {"type": "string", "maxLength": 80},
            "body": {"type": "string", "maxLength": 400},
            "urgent": {"type": "boolean"},
        },
        "required": ["subject", "body", "urgent"],
        "additionalProperties": False,
    }
    text = "Draft a mail to ACME: invoice 88217 bills 12 boxes, 10 came. Ask for a credit note."
    request = ModelRequest(
        model="m",
        messages=(Message(role="user", content=text),),
        output_schema=schema,
        max_tokens=60,
    )
    model, embedder = plugin.build({}), plugin.build_embedder()
    await timed("load and first answer", lambda: model.complete(request))
    for _ in range(3):
        reply = await timed("60 tokens of JSON", lambda: model.complete(request))
    print(f"  {reply.usage.input_tokens} tokens in, {reply.usage.output_tokens} out")
    await timed("load and first embedding", lambda: embedder.embed(["x"]))
    lines = [f"{n} boxes of A4 copy paper, 80 gsm, white, item {n * 7}" for n in range(64)]
    await timed("64 line descriptions embedded", lambda: embedder.embed(lines))


async def timed(name: str, call: Call) -> Any:
    """Print wall-clock and processor seconds of one call."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = await call()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(f"{name:<40}{wall:>7.2f} s{cpu:>7.2f} cpu-s")
    return result


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=400)
    parser.add_argument("--local", action="store_true")
    options = parser.parse_args()
    port: Any = multiprocessing.Queue()
    server = multiprocessing.Process(target=serve, args=(port,), daemon=True)
    server.start()
    asyncio.run(measure(f"http://127.0.0.1:{port.get()}/v1", options.calls))
    server.terminate()
    if options.local:
        asyncio.run(measure_local())
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")


if __name__ == "__main__":
    main()
