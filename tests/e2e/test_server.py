"""`squad up` as its users start it: a real process, real sockets, signals and
kill -9."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

SQUAD = Path(sys.executable).with_name("squad")
HELLO = """\
apiVersion: agentsquad.dev/v1
kind: AgentWorkflow
metadata: {name: hello}
spec:
  graph:
    nodes:
      - {id: greet, value: "hello"}
"""
WAITING = """\
apiVersion: agentsquad.dev/v1
kind: AgentWorkflow
metadata: {name: patient}
spec:
  graph:
    nodes:
      - {id: word, signal: go}
"""


class Server:
    """One server process over one home, as often as it is started."""

    def __init__(self, home: Path, *arguments: str) -> None:
        self.home = home
        self.token_file = home.parent / "token"
        self.log = home.parent / "server.log"
        self.arguments = arguments
        self.url = ""
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        before = len(self.said())
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [str(SQUAD), "up", "--listen", "127.0.0.1:0", "--home", str(self.home),
                 "--bootstrap-token-file", str(self.token_file), *self.arguments],
                stdout=log, stderr=log, env={**os.environ, "SQUAD_MODELS": "off"},
            )  # fmt: skip
        self.until(lambda: " serving url=" in self.said()[before:])
        line = next(one for one in self.said()[before:].splitlines() if " serving url=" in one)
        self.url = line.rpartition("url=")[2]
        self.until(self.ready)

    def ready(self) -> bool:
        try:
            return self.get("/readyz", token=None).status_code == 200
        except httpx.TransportError:
            return False

    def until(self, true: Callable[[], bool]) -> None:
        for _ in range(600):
            if true():
                return
            assert self.process is not None and self.process.poll() is None, self.said()
            time.sleep(0.05)
        raise AssertionError(self.said())

    def said(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    @property
    def token(self) -> str:
        return self.token_file.read_text().strip()

    def headers(self, token: str | None) -> dict[str, str]:
        return {} if token is None else {"Authorization": f"Bearer {token or self.token}"}

    def get(self, path: str, *, token: str | None = "", **options: Any) -> httpx.Response:
        return httpx.get(self.url + path, headers=self.headers(token), timeout=30, **options)

    def call(self, action: str, value: Any, *, key: str | None = None) -> httpx.Response:
        headers = self.headers("") | ({"Idempotency-Key": key} if key else {})
        url = f"{self.url}/v1/actions/{action}"
        return httpx.post(url, json=value, headers=headers, timeout=30)

    def apply(self, text: str) -> None:
        sent = {"file": [{"name": "flow.yaml", "text": text}]}
        assert self.call("resources.apply", sent).status_code == 200

    def stop(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(30)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    found = Server(tmp_path / ".squad")
    found.start()
    yield found
    if found.process is not None and found.process.poll() is None:
        found.process.kill()
        found.process.wait()


def test_a_first_administrator_uses_it_from_nothing(server: Server) -> None:
    assert stat.S_IMODE(server.token_file.stat().st_mode) == 0o600
    assert server.token not in server.said()
    assert server.get("/v1/runs", token=None).status_code == 401
    assert server.get("/v1/runs", token="sqb_wrong").status_code == 401
    server.apply(HELLO)
    made = server.call("runs.start", {"workflow": "hello", "input": {"n": 1}}).json()
    assert (made["status"], made["output"]) == ("completed", {"greet": "hello"})
    events = server.get("/v1/events?after=0&limit=100").json()["items"]
    assert [one["seq"] for one in events] == list(range(1, len(events) + 1))
    assert {one["actor"] for one in events if one["type"] == "run.started"} == {"service:bootstrap"}


def test_what_was_accepted_is_answered_once_across_kill_and_restart(server: Server) -> None:
    server.apply(HELLO)
    first = server.call("runs.start", {"workflow": "hello"}, key="k-1").json()
    assert server.process is not None
    server.process.kill()
    server.process.wait()
    server.start()
    again = server.call("runs.start", {"workflow": "hello"}, key="k-1")
    assert again.json() == first
    listed = server.get("/v1/runs").json()["items"]
    assert [one["id"] for one in listed] == [first["run"]]


def test_runs_that_wait_go_on_after_a_restart(server: Server) -> None:
    server.apply(WAITING)
    body = {"workflow": "patient", "wait": False}
    run = server.call("runs.start", body).json()["run"]
    assert server.stop() == 0
    server.start()
    sent = server.call("runs.signal", {"run": run, "name": "go", "payload": {"n": 1}})
    assert sent.status_code == 200, sent.text
    server.until(lambda: server.get(f"/v1/runs/{run}").json().get("status") == "completed")


def test_it_ends_when_told_and_says_why(server: Server) -> None:
    assert server.stop(signal.SIGINT) == 0
    assert " ending why=SIGINT" in server.said()


def test_two_servers_do_not_share_an_address(server: Server, tmp_path: Path) -> None:
    address = server.url.removeprefix("http://")
    other = subprocess.run(
        [str(SQUAD), "up", "--listen", address, "--home", str(tmp_path / "other")],
        capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert other.returncode == 6 and b"server.port_taken" in other.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--listen", "0.0.0.0:0"), b"server.open"),
        (("--listen", "nowhere"), b"server.listen"),
        (("--listen", "127.0.0.1:99999"), b"server.listen"),
        (("--tls-cert", "cert.pem"), b"server.tls"),
        (("--grpc-listen", "[::]:0"), b"server.open"),
    ],
)
def test_what_would_be_unsafe_or_makes_no_sense_is_refused(
    tmp_path: Path, arguments: tuple[str, ...], code: bytes
) -> None:
    ended = subprocess.run(
        [str(SQUAD), "up", "--home", str(tmp_path / ".squad"), *arguments],
        capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert ended.returncode == 2 and code in ended.stderr, ended.stderr
    assert not (tmp_path / ".squad").exists()


def test_tls_of_its_own_authority_speaks_http_2(tmp_path: Path) -> None:
    server = Server(tmp_path / ".squad", "--tls-own")
    root = server.home / "tls" / "ca.pem"
    server.ready = root.exists  # type: ignore[method-assign]
    server.start()
    try:
        context = ssl.create_default_context(cafile=str(root))
        context.set_alpn_protocols(["h2", "http/1.1"])
        host, _, port = server.url.removeprefix("https://").partition(":")
        with (
            socket.create_connection((host, int(port)), timeout=10) as raw,
            context.wrap_socket(raw, server_hostname=host) as wrapped,
        ):
            assert wrapped.selected_alpn_protocol() == "h2"
        with httpx.Client(verify=context) as client:
            answer = client.get(f"{server.url}/healthz")
        assert answer.status_code == 200
        assert "strict-transport-security" in answer.headers
        assert stat.S_IMODE((server.home / "tls" / "ca.key").stat().st_mode) == 0o600
    finally:
        assert server.stop() == 0


def test_a_thousand_copies_of_one_write_are_one(server: Server) -> None:
    server.apply(HELLO)
    before = server.get("/v1/events?after=0&limit=1000").json()["items"][-1]["seq"]
    with httpx.Client(headers=server.headers("") | {"Idempotency-Key": "same"}) as client:
        url = f"{server.url}/v1/actions/runs.start"
        answers = {client.post(url, json={"workflow": "hello"}).text for _ in range(1000)}
    assert len(answers) == 1
    events = server.get(f"/v1/events?after={before}&limit=1000").json()["items"]
    assert [one["type"] for one in events].count("run.started") == 1
    assert [one["type"] for one in events].count("request.accepted") == 1


def test_a_restart_under_load_loses_nothing_that_was_accepted(server: Server) -> None:
    server.apply(HELLO)
    answered: dict[str, str] = {}
    refused: set[int] = set()
    keys = iter(f"k-{number}" for number in range(100_000))
    ending = threading.Event()

    def client(url: str) -> None:
        headers = server.headers("")
        with httpx.Client(headers=headers, timeout=30) as session:
            while not ending.is_set():
                key = next(keys)
                try:
                    said = session.post(
                        f"{url}/v1/actions/runs.start",
                        json={"workflow": "hello"},
                        headers={"Idempotency-Key": key},
                    )
                except httpx.TransportError:
                    sent.append(key)
                    return
                sent.append(key)
                if said.status_code == 200:
                    answered[key] = said.json()["run"]
                else:
                    refused.add(said.status_code)
                    return

    sent: list[str] = []
    threads = [threading.Thread(target=client, args=(server.url,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    server.until(lambda: len(answered) > 100)
    assert server.stop() == 0
    ending.set()
    for thread in threads:
        thread.join()
    assert refused <= {503}
    server.start()
    runs = {}
    for key in sent:
        said = server.call("runs.start", {"workflow": "hello"}, key=key)
        assert said.status_code == 200, said.text
        runs[key] = said.json()["run"]
    assert {key: runs[key] for key in answered} == answered
    assert len(set(runs.values())) == len(sent)


def test_a_connection_that_its_client_closed_is_let_go_of_at_once(server: Server) -> None:
    assert server.process is not None
    handles = Path(f"/proc/{server.process.pid}/fd")
    before = len(list(handles.iterdir()))
    for _ in range(60):
        server.get("/healthz", token=None)  # each on a connection of its own
    server.until(lambda: len(list(handles.iterdir())) <= before + 5)
