"""Soak: a server at a steady load for a while; memory and open handles must
stay flat, and nothing may fail.

    .venv/bin/python bench/soak.py --seconds 600 --rate 50 -o json

A real `squad up` on loopback, journal on disk with fsync. Of ten requests seven
read (runs, events, a resource), two are calls of a pure action, one starts a
run with a key of its own. The load comes from this process, evenly spaced;
what the server cannot take in time is counted as late. Memory and handles are
read from /proc every ten seconds; growth is the slope of a straight line
through the second half, when caches are full, in KiB and handles an hour. The
log grows with what is written, and is shown beside it.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

SQUAD = Path(sys.executable).with_name("squad")
SAMPLE_S = 10.0
LATE_S = 1.0
HELLO = """\
apiVersion: agentsquad.dev/v1
kind: AgentWorkflow
metadata: {name: hello}
spec:
  graph:
    nodes: [{id: greet, value: "hello"}]
"""


class Sampled:
    """What the server's process holds, by time."""

    def __init__(self, pid: int, home: Path) -> None:
        self._pid = pid
        self._home = home
        self.rows: list[tuple[float, int, int]] = []  # seconds, KiB, handles

    def take(self, at: float) -> None:
        """Look now."""
        status = Path(f"/proc/{self._pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        handles = len(os.listdir(f"/proc/{self._pid}/fd"))
        self.rows.append((at, int(found[1]) if found else 0, handles))

    @property
    def cpu_ms(self) -> float:
        """Processor time of the server so far."""
        fields = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")

    def slope(self, column: int) -> float:
        """Growth an hour in the second half."""
        half = self.rows[len(self.rows) // 2 :]
        if len(half) < 3:
            return 0.0
        line = statistics.linear_regression([r[0] for r in half], [float(r[column]) for r in half])
        return line.slope * 3600

    @property
    def log_kib(self) -> int:
        """Bytes of the store."""
        return sum(one.stat().st_size for one in self._home.glob("*.db*")) // 1024


async def load(client: httpx.AsyncClient, seconds: float, rate: float, sampled: Sampled) -> Any:
    """Send requests evenly; return statuses, latencies and how many came
    late."""
    statuses: dict[str, int] = {}
    took: list[float] = []
    begun, tasks, numbers = time.monotonic(), set(), itertools.count()
    next_sample = 0.0

    async def one(number: int, due: float) -> None:
        kind = number % 10
        headers = {}
        if kind < 3:
            request = client.build_request("GET", "/v1/runs?limit=10")
        elif kind < 5:
            request = client.build_request("GET", "/v1/events?after=0&limit=20")
        elif kind < 7:
            request = client.build_request("GET", "/v1/namespaces/default/agentworkflows/hello")
        elif kind < 9:
            body = {"path": "AgentWorkflow"}
            request = client.build_request("POST", "/v1/actions/resources.explain", json=body)
        else:
            headers = {"Idempotency-Key": f"soak-{number}"}
            body = {"workflow": "hello", "wait": True}
            request = client.build_request(
                "POST", "/v1/actions/runs.start", json=body, headers=headers
            )
        try:
            status = str((await client.send(request)).status_code)
        except httpx.HTTPError as error:
            status = type(error).__name__
        statuses[status] = statuses.get(status, 0) + 1
        took.append(time.monotonic() - due)

    while (now := time.monotonic() - begun) < seconds:
        if now >= next_sample:
            sampled.take(now)
            next_sample += SAMPLE_S
        number = next(numbers)
        due = begun + number / rate
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        task = asyncio.ensure_future(one(number, due))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    sampled.take(time.monotonic() - begun)
    took.sort()
    return statuses, took


def started(folder: Path) -> tuple[subprocess.Popen[bytes], str, str]:
    """Start a server; return it, its address and the administrator's token."""
    log, token = folder / "log", folder / "token"
    with log.open("wb") as out:
        server = subprocess.Popen(
            [str(SQUAD), "up", "--listen", "127.0.0.1:0", "--home", str(folder / ".squad"),
             "--bootstrap-token-file", str(token)],
            stdout=out, stderr=out, env={**os.environ, "SQUAD_MODELS": "off"},
        )  # fmt: skip
    while not (found := re.search(r"serving url=(\S+)", log.read_text())):
        if server.poll() is not None:
            raise SystemExit(log.read_text())
        time.sleep(0.1)
    return server, found[1], token.read_text().strip()


async def soak(address: str, token: str, sampled: Sampled, asked: Any) -> dict[str, Any]:
    """Run it and return the figures."""
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(
        base_url=address, headers=headers, timeout=30, trust_env=False
    ) as client:
        sent = {"file": [{"name": "flow.yaml", "text": HELLO}]}
        (await client.post("/v1/actions/resources.apply", json=sent)).raise_for_status()
        before = sampled.cpu_ms
        statuses, took = await load(client, asked.seconds, asked.rate, sampled)
    return {
        "seconds": asked.seconds,
        "rate": asked.rate,
        "requests": len(took),
        "statuses": statuses,
        "late": sum(one > LATE_S for one in took),
        "p50_ms": round(took[len(took) // 2] * 1000, 1),
        "p99_ms": round(took[int(len(took) * 0.99)] * 1000, 1),
        "cpu_ms_per_request": round((sampled.cpu_ms - before) / len(took), 2),
        "rss_kib": [sampled.rows[0][1], sampled.rows[-1][1]],
        "rss_kib_per_hour": round(sampled.slope(1)),
        "handles": [sampled.rows[0][2], sampled.rows[-1][2]],
        "handles_per_hour": round(sampled.slope(2), 1),
        "log_kib": sampled.log_kib,
    }


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=float, default=50, help="requests a second")
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server, address, token = started(Path(folder))
        try:
            sampled = Sampled(server.pid, Path(folder, ".squad"))
            found = asyncio.run(soak(address, token, sampled, asked))
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(60)
    if asked.output == "json":
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name:18}{value}")


if __name__ == "__main__":
    main()
