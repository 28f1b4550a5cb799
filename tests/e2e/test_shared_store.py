"""Several real processes on one PostgreSQL: one drives, the others stand by,
nothing is done twice and nothing is lost, whatever happens to the one that
drives.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import pytest

from agentsquad.runtime.engine.plugin import system_clock, system_entropy
from agentsquad.runtime.ledger.plugin import open_ledger
from agentsquad.runtime.ledger.verification import verify

pytestmark = [pytest.mark.slow, pytest.mark.e2e]
WORLD = Path(__file__).with_name("shared_world.py")
TTL_MS = 2_000
# Renewed for the last time just before: the lease, the server's limit for an
# idle transaction, and a second for a machine that has much else to do.
TAKEN_OVER_S = TTL_MS / 1000 + 1.5 + 1.0


class Process:
    """A process of tests/e2e/shared_world.py."""

    def __init__(self, url: str, folder: Path, ttl_ms: int) -> None:
        self._popen = subprocess.Popen(
            [sys.executable, str(WORLD), url, str(folder), str(ttl_ms)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self._ids = itertools.count()
        self._answers: dict[int, Queue[dict[str, Any]]] = {}
        self.said: list[str] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._popen.stdout
        for line in self._popen.stdout:
            told = json.loads(line)
            if "say" in told:
                self.said.append(told["say"])
            else:
                self._answers[told["id"]].put(told)

    def send(self, do: str, **told: Any) -> int:
        """Ask without waiting for the answer."""
        number = next(self._ids)
        self._answers[number] = Queue()
        assert self._popen.stdin
        self._popen.stdin.write(json.dumps({"id": number, "do": do, **told}) + "\n")
        self._popen.stdin.flush()
        return number

    def answer(self, number: int, seconds: float = 60.0) -> Any:
        """The answer to what was asked; an error's code as {"error": …}."""
        try:
            told = self._answers[number].get(timeout=seconds)
        except Empty:
            raise AssertionError(f"no answer; it said {self.said}") from None
        return told.get("ok", told)

    def ask(self, do: str, **told: Any) -> Any:
        """Ask and wait."""
        return self.answer(self.send(do, **told))

    def signal(self, number: int) -> None:
        """Send a signal, as an operator or the system would."""
        self._popen.send_signal(number)

    def end(self) -> None:
        """End it, if it has not ended."""
        if self._popen.poll() is None:
            self._popen.kill()
        self._popen.wait()
        for pipe in (self._popen.stdin, self._popen.stdout):
            assert pipe
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


class Proxy:
    """Passes bytes between processes and a server; can be cut, so that nothing
    arrives and nobody is told, and counts what clients send.
    """

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.whole = threading.Event()
        self.whole.set()
        self.sent = 0
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._server)
                self._open += [client, server]
                for pair in ((client, server, True), (server, client, False)):
                    threading.Thread(target=self._pass, args=pair, daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, counted: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                self.whole.wait()
                self.sent += counted
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Let go of every connection."""
        self.whole.set()
        for one in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


@pytest.fixture
def proxy(postgresql_server: dict[str, Any]) -> Iterator[Proxy]:
    """A network before the server of the session."""
    opened = Proxy(str(postgresql_server["host"]), int(postgresql_server["port"]))
    yield opened
    opened.close()


def through(proxy: Proxy, url: str) -> str:
    return re.sub(r":\d+/", f":{proxy.port}/", url, count=1)


Start = Callable[..., Process]


@pytest.fixture
def start(postgresql_url: str, tmp_path: Path) -> Iterator[Start]:
    """Starts processes on one store, and ends what is left of them."""
    started: list[Process] = []

    def begin(url: str = postgresql_url, ttl_ms: int = TTL_MS) -> Process:
        process = Process(url, tmp_path, ttl_ms)
        started.append(process)
        until(lambda: "ready" in process.said)
        return process

    yield begin
    for process in started:
        process.end()


def until(holds: Callable[[], Any], seconds: float = 30.0) -> float:
    """Wait until something holds; how long that took."""
    begun = time.monotonic()
    while not holds():
        assert time.monotonic() - begun < seconds, "it did not come true"
        time.sleep(0.01)
    return time.monotonic() - begun


def driving(process: Process) -> bool:
    return bool(process.ask("standing")["driving"])


def paid(folder: Path) -> Counter[str]:
    bank = folder / "bank.txt"
    return Counter(bank.read_text().splitlines()) if bank.exists() else Counter()


async def judged(url: str) -> list[str]:
    """Verify the whole log; return the types of what the processes said."""
    ledger = open_ledger(url, system_clock(), system_entropy())
    report = await verify(ledger, lambda done, total: None)
    assert report.valid, report.findings
    events = await ledger.store.read_stream("engine/lease")
    ledger.close()
    return [event.type for event in events]


def test_one_drives_and_all_may_start_signal_and_wait(
    start: Start, record_property: Callable[[str, object], None]
) -> None:
    first, second = start(), start()
    assert first.ask("join") is True
    assert second.ask("join") is False
    laps = []
    for _ in range(5):
        run = second.ask("start", workflow="waits", n=0)
        until(lambda run=run: "signal.waiting" in second.ask("types", run=run))
        second.ask("signal", run=run)
        outcome = second.ask("wait", run=run)
        assert outcome["status"] == "completed"
        laps.append(outcome["output"] / 1e6)
    record_property("signal_ms", sorted(laps))
    print("a signal from another process reached the run after ms:", sorted(laps))
    assert sorted(laps)[2] < 100, "by notification, not by looking every 100 ms or more"
    standing = first.ask("standing")
    assert [one["leads"] for one in standing["members"]] == [True, False]


def test_when_the_driving_process_is_killed_another_takes_over_and_nothing_is_lost(
    start: Start, postgresql_url: str, tmp_path: Path
) -> None:
    first, second = start(), start()
    first.ask("join")
    second.ask("join")
    run = second.ask("start", workflow="batch", n=40)
    until(lambda: len(paid(tmp_path)) > 5)
    first.signal(signal.SIGKILL)
    took = until(lambda: driving(second))
    assert took < TAKEN_OVER_S
    said = second.ask("wait", run=run)
    assert said.get("output") == 40, said
    assert len(paid(tmp_path)) == 40 and set(paid(tmp_path).values()) == {1}
    assert asyncio.run(judged(postgresql_url)) == ["engine.acquired"] * 2


def test_a_stopped_process_can_write_nothing_after_another_took_over(
    start: Start, postgresql_url: str, tmp_path: Path
) -> None:
    first, second = start(), start()
    first.ask("join")
    second.ask("join")
    run = first.ask("start", workflow="batch", n=40)
    waiting = first.send("wait", run=run)
    until(lambda: len(paid(tmp_path)) > 5)
    late = [first.send("block", s=0.05)]
    first.signal(signal.SIGSTOP)
    late += [first.send("append", n=n) for n in range(3)]
    took = until(lambda: driving(second))
    assert took < TAKEN_OVER_S
    first.signal(signal.SIGCONT)
    answers = [first.answer(number) for number in late[1:]]
    # Written as one that drives, they are refused; whoever has noticed by then
    # that another one does stands by, and may write.
    refused = [answer for answer in answers if isinstance(answer, dict)]
    assert {answer["error"] for answer in refused} <= {"ledger.fenced"}
    until(lambda: first.ask("standing")["down"] == 1)
    assert any("another process drives the runs now" in said for said in first.said)
    assert isinstance(first.ask("append", n=9), int), "as one that stands by it may write"
    told = first.answer(waiting)
    assert told.get("output") == 40, ("who waited there is answered all the same", told)
    assert set(paid(tmp_path).values()) == {1} and len(paid(tmp_path)) == 40
    said = asyncio.run(judged(postgresql_url))
    assert said == ["engine.acquired", "engine.acquired", "engine.fenced"]


def test_a_new_version_takes_over_at_once_when_the_old_one_hands_over(
    start: Start, postgresql_url: str, tmp_path: Path
) -> None:
    # A lease that outlasts `until`: only a notification is in time.
    start_long = partial(start, ttl_ms=10 * 60_000)
    old = start_long()
    old.ask("join")
    run = old.ask("start", workflow="batch", n=40)
    for turn in range(3):
        new = start_long()
        assert new.ask("join") is False
        until(lambda turn=turn: len(paid(tmp_path)) > 8 * (turn + 1))
        assert old.ask("end") is True
        until(lambda new=new: driving(new))
        old = new
    said = old.ask("wait", run=run)
    assert said.get("output") == 40, said
    assert len(paid(tmp_path)) == 40 and set(paid(tmp_path).values()) == {1}
    assert asyncio.run(judged(postgresql_url)).count("engine.yielded") == 3


def test_who_is_cut_off_from_the_server_writes_nothing_after_another_took_over(
    start: Start, proxy: Proxy, postgresql_url: str, tmp_path: Path
) -> None:
    first, second = start(through(proxy, postgresql_url)), start()
    first.ask("join")
    second.ask("join")
    run = first.ask("start", workflow="batch", n=40)
    until(lambda: len(paid(tmp_path)) > 5)
    proxy.whole.clear()
    took = until(lambda: driving(second))
    assert took < TAKEN_OVER_S
    assert second.ask("wait", run=run)["output"] == 40
    proxy.whole.set()
    until(lambda: first.ask("standing")["down"] == 1)
    assert first.ask("wait", run=run)["output"] == 40
    assert set(paid(tmp_path).values()) == {1} and len(paid(tmp_path)) == 40
    assert asyncio.run(judged(postgresql_url))[:2] == ["engine.acquired"] * 2


def test_processes_with_nothing_to_do_ask_the_server_nothing(
    start: Start, proxy: Proxy, postgresql_url: str
) -> None:
    url = through(proxy, postgresql_url)
    first, second = start(url, 60_000), start(url, 60_000)
    first.ask("join")
    second.ask("join")
    runs = [first.ask("start", workflow="waits", n=0) for _ in range(3)]
    until(lambda: all("signal.waiting" in first.ask("types", run=run) for run in runs))
    time.sleep(2.5)  # what follows from work ends within SETTLE_S
    before = proxy.sent
    time.sleep(4)
    assert proxy.sent == before, "only the lease is renewed, every 20 s here"
    second.ask("signal", run=runs[0])
    assert first.ask("wait", run=runs[0])["status"] == "completed"


class Restarted:
    """A PostgreSQL of this test's own, to be stopped and killed."""

    def __init__(self, folder: Path) -> None:
        services = sys.modules["squad_services"]
        self.server = services.Server("postgresql", folder)
        self.server.prepare()
        self.server.start()
        self.url = str(self.server.described["url"])

    def restart(self, *, kill: bool, away_s: float = 0.0) -> None:
        """End it, in order or not, and start it again at the same place."""
        if kill:
            self.server.process.kill()
            self.server.process.wait()
        else:
            self.server.stop()
        time.sleep(away_s)
        self.server.log.write_text("")
        self.server.start()


@pytest.fixture
def own_server(postgresql_server: dict[str, Any]) -> Iterator[Restarted]:
    """A server that only this test uses."""
    folder = Path(tempfile.mkdtemp(prefix="squad-test-"))
    made = Restarted(folder)
    yield made
    made.server.stop()
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("kill", "away_s"),
    [(False, 0.0), (True, 0.0), (True, 12.0)],
    ids=["in order", "killed", "away for longer than anybody waits"],
)
def test_a_server_that_starts_again_is_found_again_and_nothing_is_lost(
    kill: bool, away_s: float, start: Start, own_server: Restarted, tmp_path: Path
) -> None:
    first, second = start(own_server.url), start(own_server.url)
    first.ask("join")
    second.ask("join")
    run = first.ask("start", workflow="batch", n=40)
    until(lambda: len(paid(tmp_path)) > 5)
    own_server.restart(kill=kill, away_s=away_s)
    until(lambda: second.ask("wait", run=run).get("output") == 40, 60)
    assert set(paid(tmp_path).values()) == {1} and len(paid(tmp_path)) == 40
    told = second.ask("start", workflow="waits", n=0)
    until(lambda: "signal.waiting" in second.ask("types", run=told))
    assert second.ask("signal", run=told)
    assert second.ask("wait", run=told)["status"] == "completed"
    assert "engine.acquired" in asyncio.run(judged(own_server.url))


def test_the_program_serves_stands_by_and_ends_in_order(
    postgresql_url: str, tmp_path: Path
) -> None:
    squad = str(Path(sys.executable).with_name("squad"))
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("SQUAD_")},
        "SQUAD_STORE": postgresql_url,
        "SQUAD_HOME": str(tmp_path),
        "SQUAD_MODELS": "off",
    }

    def serve() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [squad, "engine", "run"], env=environment, stdout=subprocess.PIPE, text=True
        )

    def processes() -> list[dict[str, Any]]:
        said = subprocess.run(
            [squad, "engine", "status", "-o", "json"],
            env=environment,
            capture_output=True,
            check=True,
        )
        found: list[dict[str, Any]] = json.loads(said.stdout)["processes"]
        return found

    def drivers() -> list[int]:
        return [one["pid"] for one in processes() if one["drives"]]

    first = serve()
    until(lambda: drivers() == [first.pid])
    second = serve()
    until(lambda: len(processes()) == 2)
    assert drivers() == [first.pid]
    resumed = subprocess.run([squad, "resume"], env=environment, capture_output=True, check=False)
    assert resumed.returncode != 0 and b"engine.busy" in resumed.stderr
    first.terminate()
    assert first.communicate(timeout=30)[0] == "ended (SIGTERM): it drove the runs of this store\n"
    until(lambda: drivers() == [second.pid])
    second.terminate()
    second.communicate(timeout=30)
    assert (first.returncode, second.returncode, processes()) == (0, 0, [])
    assert asyncio.run(judged(postgresql_url)) == ["engine.acquired", "engine.yielded"] * 2
