"""A real server is killed between asking and telling; the next one tells."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.e2e]
SQUAD = [sys.executable, "-m", "agentsquad.assembly.main"]
CAME: list[Any] = []


class Hook(BaseHTTPRequestHandler):
    """A client's own server."""

    def do_POST(self) -> None:
        CAME.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *told: Any) -> None:
        """Say nothing."""


@contextmanager
def server(home: Path) -> Iterator[tuple[str, str]]:
    """Run a server until it is killed; return its address and a token."""
    token = home / "token"
    command = [*SQUAD, "--home", str(home / "h"), "up", "--listen", "127.0.0.1:0"]
    running = subprocess.Popen(
        [*command, "--bootstrap-token-file", str(token)],
        stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
        env={**os.environ, "SQUAD_A2A_REACH": "127.0.0.1"},
    )  # fmt: skip
    assert running.stderr is not None
    draining = threading.Thread(target=running.stderr.read, daemon=True)
    try:
        for line in running.stderr:
            if found := re.search(r"serving.*url=(\S+)", line):
                draining.start()
                yield found[1], token.read_text().strip()
                return
        raise AssertionError("the server did not begin")
    finally:
        running.kill()
        running.wait()
        if draining.ident is not None:
            draining.join()
        running.stderr.close()


def test_what_was_not_told_before_a_crash_is_told_after_it(tmp_path: Path) -> None:
    hook = HTTPServer(("127.0.0.1", 0), Hook, bind_and_activate=False)
    hook.server_bind()  # a port of its own that nobody answers at yet
    url = f"http://127.0.0.1:{hook.server_address[1]}/hook"
    message = {
        "messageId": "m1", "role": "ROLE_USER", "parts": [{"data": {}}],
        "metadata": {"skill": "workflow:purchase-to-pay"},
    }  # fmt: skip
    given = {"returnImmediately": True, "taskPushNotificationConfig": {"url": url}}
    with server(tmp_path) as (base, token):
        body = {"message": message, "configuration": given}
        headers = {"Authorization": f"Bearer {token}"}
        reply = httpx.post(f"{base}/a2a/message:send", json=body, headers=headers)
        assert reply.status_code == 200, reply.text
        task = reply.json()["task"]["id"]
    hook.server_activate()
    threading.Thread(target=hook.serve_forever, daemon=True).start()
    with server(tmp_path):
        end = time.monotonic() + 40
        while len(CAME) < 2 and time.monotonic() < end:
            time.sleep(0.05)  # a process of its own: there is nothing to wait on
    hook.shutdown()
    hook.server_close()
    assert {one["task"]["id"] for one in CAME} == {task}
    states = list(dict.fromkeys(one["task"]["status"]["state"] for one in CAME))
    assert states == ["TASK_STATE_WORKING", "TASK_STATE_FAILED"]
