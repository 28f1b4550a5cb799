"""What a recording proxy adds to a model call, beside LiteLLM's proxy.

    python bench/proxy.py install      the peer, into an environment of its own
    python bench/proxy.py [--calls N] [--rounds N] [-o json]

A stub provider in another process answers each call after a drawn time and says
in its answer how long it took; what is left of the caller's time was added on
the way. The same calls go straight to the stub, through `squad proxy` (every
request on the disk before it is sent, every answer before it is passed on) and
through LiteLLM's proxy (one worker, no database, nothing recorded), in turns,
several rounds over. Calls with one and with 50 in flight; with 50 the answers
take 0.2 to 0.8 s, as those of models do. Added is what exceeds the median of
the straight calls; processor time is that of the proxy's own process.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path
from typing import Any

PEERS = Path(__file__).parents[1] / "build" / "bench"
HOME = Path(os.environ.get("BENCH_PEERS", PEERS)) / "litellm"
PACKAGES = {  # the peer, and an agent of LangGraph for recording.py
    HOME: "litellm[proxy]==1.106.2",
    HOME.with_name("langgraph-agent"): "langgraph==1.2.22 langchain-openai==1.7.3",
}
KEY = "sk-" + "b" * 64
TICKS = os.sysconf("SC_CLK_TCK")
CELLS = {"1 in flight": (1, 0.02, 0.02), "50 in flight": (50, 0.2, 0.8)}


# --- the stub provider


async def serve_stub() -> None:
    """Answer chat completions after a time that the request names."""

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                size = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
                if not size:
                    raise ConnectionError("only completions are answered here")
                body = json.loads(await reader.readexactly(size))
                began = time.perf_counter()
                wait = float(body["messages"][-1]["content"].partition(" ")[0])
                await asyncio.sleep(wait)
                took = time.perf_counter() - began
                data = answer(took)
                lines = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
                writer.write(f"{lines}content-length: {len(data)}\r\n\r\n".encode() + data)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(served, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def answer(took: float) -> bytes:
    """Return a chat completion that says how long it took."""
    message = {"role": "assistant", "content": f"took={took:.6f} " + "words of an answer " * 20}
    return json.dumps(
        {
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1764000000,
            "model": "gpt-4o",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 40, "completion_tokens": 36, "total_tokens": 76},
        }
    ).encode()  # fmt: skip


# --- the callers


class Caller:
    """One connection that makes one call after the other."""

    def __init__(self, port: int, key: str) -> None:
        self._port = port
        self._key = key

    async def open(self) -> None:
        """Connect."""
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)

    async def call(self, wait: float, number: int) -> float:
        """Make one call and return what was added to it, in seconds."""
        text = f"{wait:.4f} call {number} " + "a question of some length " * 12
        body = json.dumps(
            {"model": "gpt-4o", "messages": [{"role": "user", "content": text}]}
        ).encode()
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\n"
            f"authorization: Bearer {self._key}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        began = time.perf_counter()
        self._writer.write(head.encode() + body)
        answered = await self._reader.readuntil(b"\r\n\r\n")
        low = answered.lower()
        size = int(low.partition(b"content-length:")[2].partition(b"\r\n")[0])
        data = await self._reader.readexactly(size)
        total = time.perf_counter() - began
        if not low.startswith(b"http/1.1 200"):
            raise RuntimeError(data.decode()[:300])
        content = json.loads(data)["choices"][0]["message"]["content"]
        return total - float(content.partition("took=")[2].partition(" ")[0])

    def close(self) -> None:
        """Hang up."""
        self._writer.close()


async def calls(port: int, key: str, count: int, cell: str, seed: int) -> list[float]:
    """Make calls and return what was added to each."""
    flight, least, most = CELLS[cell]
    chance = random.Random(seed)
    waits = [chance.uniform(least, most) for _ in range(count)]
    left = iter(enumerate(waits))
    added: list[float] = []

    async def caller(index: int) -> None:
        one = Caller(port, key)
        await one.open()
        await asyncio.sleep(most * index / flight)  # so that they do not march in step
        for number, wait in left:
            added.append(await one.call(wait, number))
        one.close()

    await asyncio.gather(*(caller(index) for index in range(flight)))
    return added


def processor_s(pid: int) -> float:
    """Return the processor seconds of a process and of those it started."""
    total, open_ = 0.0, [pid]
    while open_:
        one = open_.pop()
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) / TICKS
        for task in Path(f"/proc/{one}/task").glob("*/children"):
            open_ += map(int, task.read_text().split())
    return total


# --- the servers


class Served:
    """A server under measurement: its port, the key it wants, its process."""

    def __init__(self, name: str, port: int, key: str, process: Any) -> None:
        self.name, self.port, self.key, self.process = name, port, key, process
        self.added: dict[str, list[float]] = {cell: [] for cell in CELLS}
        self.used: dict[str, list[float]] = {cell: [] for cell in CELLS}


def start_stub() -> Served:
    """Start the stub provider."""
    process = subprocess.Popen(
        [sys.executable, __file__, "stub"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return Served("straight", int(process.stdout.readline()), KEY, process)


def start_ours(stub: Served, folder: str) -> Served:
    """Start `squad proxy` over a fresh store."""
    surroundings = {
        **os.environ,
        "SQUAD_HOME": str(Path(folder) / "squad"),
        "OPENAI_BASE_URL": f"http://127.0.0.1:{stub.port}/v1",
        "OPENAI_API_KEY": KEY,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "agentsquad.assembly.main", "proxy", "--listen", "127.0.0.1:0"],
        env=surroundings, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    told: dict[str, str] = {}
    while "SQUAD_PROXY" not in told:
        line = process.stderr.readline()
        if not line:
            raise SystemExit("squad proxy did not start")
        name, _, value = line.removeprefix("export ").strip().partition("=")
        told[name] = value
    port = int(told["SQUAD_PROXY"].rpartition(":")[2])
    return Served("squad proxy", port, told["OPENAI_API_KEY"], process)


def start_litellm(stub: Served, folder: str) -> Served | None:
    """Start LiteLLM's proxy, if it is installed."""
    program = HOME / "bin" / "litellm"
    if not program.exists():
        return None
    config = Path(folder) / "litellm.yaml"
    config.write_text(
        "model_list:\n  - model_name: gpt-4o\n    litellm_params:\n      model: openai/gpt-4o\n"
        f"      api_base: http://127.0.0.1:{stub.port}/v1\n      api_key: {KEY}\n"
        "litellm_settings:\n  num_retries: 0\n  telemetry: false\n  set_verbose: false\n"
    )
    port = free_port()
    words = ["--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    quiet = {
        "LITELLM_MASTER_KEY": KEY,
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_LOG": "ERROR",
    }
    process = subprocess.Popen(
        [str(program), *words, "--num_workers", "1"], cwd=folder,
        env={**os.environ, **quiet}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    for _ in range(600):
        time.sleep(0.2)
        try:
            asyncio.run(calls(port, KEY, 1, "1 in flight", 0))
        except (OSError, RuntimeError, asyncio.IncompleteReadError):
            if process.poll() is not None:
                raise SystemExit("LiteLLM's proxy did not start") from None
        else:
            return Served("litellm", port, KEY, process)
    raise SystemExit("LiteLLM's proxy does not answer")


def sync_ms(folder: str) -> float:
    """Return how long the disk takes to keep 4 KiB, the median of 40."""
    took = []
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        for _ in range(40):
            began = time.perf_counter()
            os.write(file.fileno(), b"x" * 4096)
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - began)
    return round(statistics.median(took) * 1e3, 3)


def free_port() -> int:
    """Return a port that nobody listens on."""
    import socket

    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


# --- the table


def measure(servers: list[Served], count: int, rounds: int) -> None:
    """Make the same calls by each way, in turns."""
    for served in servers:
        asyncio.run(calls(served.port, served.key, 60, "50 in flight", 0))  # warm
    for number in range(rounds):
        for cell in CELLS:
            size = count if cell != "1 in flight" else max(20, count // 5)
            for served in servers:
                before = processor_s(served.process.pid)
                served.added[cell] += asyncio.run(
                    calls(served.port, served.key, size, cell, number + 1)
                )
                served.used[cell].append((processor_s(served.process.pid) - before) / size)


def figures(servers: list[Served]) -> dict[str, Any]:
    """Return what was added, in milliseconds, and the ratios."""
    found: dict[str, Any] = {}
    for cell in CELLS:
        straight = statistics.median(servers[0].added[cell])
        rows: dict[str, Any] = {}
        for served in servers:
            added = sorted((one - straight) * 1e3 for one in served.added[cell])
            rows[served.name] = {
                "calls": len(added),
                "p50_ms": round(added[len(added) // 2], 3),
                "mean_ms": round(statistics.fmean(added), 3),
                "p99_ms": round(added[min(len(added) - 1, int(len(added) * 0.99))], 3),
                "cpu_ms": round(statistics.median(served.used[cell]) * 1e3, 3),
            }
        if "litellm" in rows:
            ours, theirs = rows["squad proxy"], rows["litellm"]
            rows["ratio"] = {
                name: round(ours[name] / theirs[name], 3)
                for name in ("p50_ms", "mean_ms", "p99_ms", "cpu_ms")
            }
        found[cell] = rows
    return found


def install() -> None:
    """Make the environments that are not there."""
    for folder, packages in PACKAGES.items():
        done = folder / "installed.txt"
        if done.exists() and done.read_text() == packages:
            continue
        print(f"installing {packages} …", flush=True)
        venv.create(folder, with_pip=True, clear=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, "--disable-pip-version-check", *packages.split()], check=True)
        done.write_text(packages)


def show(found: dict[str, Any], rounds: int) -> None:
    """Print the table."""
    load, sync = os.getloadavg()[0], found.pop("sync_ms")
    where = f"{os.cpu_count()} cores, load {load:.1f}, sync {sync} ms"
    print(f"added by a proxy to one call; {rounds} rounds, {where}")
    print(f"{'':14}{'way':14}{'calls':>7}{'p50 ms':>10}{'mean ms':>10}{'p99 ms':>10}{'cpu ms':>10}")
    for cell, rows in found.items():
        for name, row in rows.items():
            calls_ = row.get("calls", "")
            numbers = "".join(f"{row[k]:>10}" for k in ("p50_ms", "mean_ms", "p99_ms", "cpu_ms"))
            print(f"{cell:14}{name:14}{calls_:>7}{numbers}")
    if not any("ratio" in rows for rows in found.values()):
        print("LiteLLM is not installed: python bench/proxy.py install")


def main() -> None:
    """Install, serve the stub, or measure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", nargs="?", choices=("install", "stub", "run"), default="run")
    parser.add_argument("--calls", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", default=".", help="where our log is; its disk counts")
    parser.add_argument("-o", dest="form", choices=("table", "json"), default="table")
    asked = parser.parse_args()
    if asked.what == "install":
        install()
        return
    if asked.what == "stub":
        asyncio.run(serve_stub())
        return
    with tempfile.TemporaryDirectory(
        dir=Path(asked.folder).resolve(), prefix=".bench-proxy-"
    ) as folder:
        servers = [start_stub()]
        try:
            servers.append(start_ours(servers[0], folder))
            theirs = start_litellm(servers[0], folder)
            servers += [theirs] if theirs is not None else []
            measure(servers, asked.calls, asked.rounds)
            found = figures(servers)
            found["sync_ms"] = sync_ms(folder)
        finally:
            for served in reversed(servers):
                served.process.send_signal(signal.SIGTERM)
                served.process.wait(30)
    if asked.form == "json":
        print(json.dumps(found, indent=1))
    else:
        show(found, asked.rounds)


if __name__ == "__main__":
    main()
