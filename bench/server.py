"""How much of the server's speed is left for a reading and for a call of an
action: requests a second against the same server answering a constant.

`squad up` serves; a client in another process keeps connections open and asks
for one thing at a time on each. Kinds take turns, round by round. Since the
machine may be busy with other things, the ratio that counts is that of the
server's own processor time for a request; seconds are told beside it.

    python bench/server.py [--rounds 3] [--seconds 2] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

CONNECTIONS = 8
WANTED = {"reading": 0.60, "action": 0.40}
TICK = os.sysconf("SC_CLK_TCK")


class Kind(NamedTuple):
    """What is asked for."""

    name: str
    method: str
    path: str
    body: dict[str, object] | None = None


KINDS = (
    Kind("constant", "GET", "/healthz"),
    Kind("reading", "GET", "/v1/resources/agents/p2p-matcher"),
    Kind("action", "POST", "/v1/actions/resources.explain", {"path": "AgentWorkflow.graph"}),
    Kind("fresh reading", "POST", "/v1/actions/resources.get",
         {"kind": "agent", "name": "p2p-matcher"}),
)  # fmt: skip


def request_of(kind: Kind, token: str, host: str) -> bytes:
    """Return a request as it goes over the wire."""
    body = b"" if kind.body is None else json.dumps(kind.body).encode()
    lines = [
        f"{kind.method} {kind.path} HTTP/1.1",
        f"Host: {host}",
        f"Authorization: Bearer {token}",
        "Accept: application/json",
        f"Content-Length: {len(body)}",
    ]
    if body:
        lines.append("Content-Type: application/json")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def ask(host: str, port: int, request: bytes, seconds: float) -> int:
    """Ask again and again on one connection; return how often."""
    reader, writer = await asyncio.open_connection(host, port)
    count, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"not answered: {head.decode()[:200]}")
        low = head.lower()
        at = low.index(b"content-length:") + 15
        await reader.readexactly(int(low[at : low.index(b"\r", at)]))
        count += 1
    writer.close()
    return count


async def load(url: str, token: str, seconds: float, kind: Kind) -> dict[str, float]:
    """Ask on several connections at once; return how much was answered."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    request = request_of(kind, token, host)
    began = time.monotonic()
    counts = await asyncio.gather(
        *(ask(host, int(port), request, seconds) for _ in range(CONNECTIONS))
    )
    return {"requests": sum(counts), "seconds": time.monotonic() - began}


def cpu_of(pid: int) -> float:
    """Return the seconds of processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def served(folder: Path) -> tuple[subprocess.Popen[str], str, str]:
    """Start a server; return it, its address and the first token."""
    token = folder / "token"
    squad = str(Path(sys.executable).with_name("squad"))
    words = [squad, "up", "--listen", "127.0.0.1:0", "--bootstrap-token-file", str(token)]
    log = folder / "log"
    with log.open("w") as out:
        process = subprocess.Popen(words, cwd=folder, stdout=out, stderr=out, text=True)
    for _ in range(600):
        found = [word for word in log.read_text().split() if "http://127.0.0.1:" in word]
        if found and token.exists():
            url = "http://" + found[0].partition("http://")[2].strip('",')
            return process, url, token.read_text().strip()
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise SystemExit("the server has not begun:\n" + log.read_text())


def measured(rounds: int, seconds: float) -> dict[str, dict[str, float]]:
    """Return the figures of each kind."""
    with tempfile.TemporaryDirectory() as name:
        process, url, token = served(Path(name))
        found: dict[str, list[tuple[float, float]]] = {kind.name: [] for kind in KINDS}
        try:
            for turn in range(rounds + 1):
                for kind in KINDS if turn % 2 else KINDS[::-1]:
                    before = cpu_of(process.pid)
                    words = [sys.executable, __file__, "--load", kind.name, url, token]
                    out = subprocess.run(
                        [*words, str(seconds)], capture_output=True, text=True, check=True
                    ).stdout
                    got = json.loads(out)
                    used = cpu_of(process.pid) - before
                    if turn:  # the first one warms up
                        rate = got["requests"] / got["seconds"]
                        found[kind.name].append((rate, used / got["requests"]))
        finally:
            process.terminate()
            process.wait(30)
    return {
        name: {
            "per_s": statistics.median(rate for rate, _ in pairs),
            "cpu_us": 1e6 * statistics.median(cpu for _, cpu in pairs),
        }
        for name, pairs in found.items()
    }


def main() -> None:
    """Measure and print, or be the client of a measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--load", nargs=4, metavar=("KIND", "URL", "TOKEN", "SECONDS"))
    given = parser.parse_args()
    if given.load:
        name, url, token, seconds = given.load
        kind = next(one for one in KINDS if one.name == name)
        print(json.dumps(asyncio.run(load(url, token, float(seconds), kind))))
        return
    found = measured(given.rounds, given.seconds)
    constant = found["constant"]["cpu_us"]
    for name, one in found.items():
        one["of_constant"] = constant / one["cpu_us"]
        one["wanted"] = WANTED.get(name, 0.0)
    if given.json:
        print(json.dumps(found, indent=1))
        return
    print(
        f"{'kind':14} {'requests/s':>11} {'server µs each':>15} {'of constant':>12} {'wanted':>7}"
    )
    for name, one in found.items():
        wanted = f"{one['wanted']:.0%}" if one["wanted"] else ""
        print(
            f"{name:14} {one['per_s']:11,.0f} {one['cpu_us']:15,.0f} "
            f"{one['of_constant']:12.0%} {wanted:>7}"
        )


if __name__ == "__main__":
    main()
