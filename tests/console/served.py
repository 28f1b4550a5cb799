"""A real server with real work in it, for the tests of the console."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx

from agentsquad.solutions import purchase_to_pay

SQUAD = Path(sys.executable).with_name("squad")
ORDERS = Path(purchase_to_pay.__file__).parent / "fixtures"
PASSWORD = "plum tractor quietly 7 boats"
READY_S = 60.0
# name → roles: ada may do everything and answer everything; eve only looks.
PEOPLE: dict[str, tuple[str, ...]] = {
    "ada": ("controller", "cfo", "ap_clerk", "buyer", "approver"),
    "eve": ("viewer",),
}


class Served:
    """One home with one server, as often as it is started."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.url = ""
        self.log = home.with_suffix(".log")
        self._process: subprocess.Popen[bytes] | None = None
        self._listen = "127.0.0.1:0"
        self._ada: httpx.Client | None = None

    def squad(self, *words: str, fine: bool = True) -> str:
        """Run a command on the home itself."""
        done = subprocess.run(
            [str(SQUAD), "--home", str(self.home), *words],
            capture_output=True, text=True, timeout=120, check=False,
            env={**os.environ, "SQUAD_MODELS": "off"},
        )  # fmt: skip
        assert done.returncode == 0 or not fine, done.stderr
        return done.stdout

    def people(self) -> None:
        """Add those who sign in, as the first administrator."""
        token = self.home.with_suffix(".token").read_text().strip()
        with httpx.Client(headers={"Authorization": f"Bearer {token}"}, timeout=30) as client:
            for name, roles in PEOPLE.items():
                password = {"name": "password", "text": PASSWORD}
                told = {"name": name, "password_file": password, "admin": name == "ada"}
                asked = [("users.add", told)]
                asked += [("grants.add", {"name": name, "role": role}) for role in roles]
                for action, value in asked:
                    answer = client.post(f"{self.url}/v1/actions/{action}", json=value)
                    assert answer.status_code < 300, answer.text

    def pay(self, orders: Path = ORDERS) -> str:
        """Run the flagship over a folder of orders, until people are asked;
        returns the run."""
        found = self.squad("run", "purchase-to-pay", "--input", str(orders), fine=False)
        run = re.search(r"^run +(\S+)", found, re.MULTILINE)
        assert run, found
        return run.group(1)

    def start(self) -> None:
        """Start the server, at the address it had before."""
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [str(SQUAD), "--home", str(self.home), "up", "--listen", self._listen,
                 "--bootstrap-token-file", str(self.home.with_suffix(".token")),
                 "--drain-ms", "500"],
                stdout=log, stderr=log, env={**os.environ, "SQUAD_MODELS": "off"},
            )  # fmt: skip
        until = time.monotonic() + READY_S
        while not self._ready():
            assert self._process.poll() is None and time.monotonic() < until, self.log.read_text()
            time.sleep(0.05)

    def _ready(self) -> bool:
        said = re.search(r"serving url=(\S+)", self.log.read_text())
        if said is None:
            return False
        self.url = said.group(1)
        self._listen = self.url.removeprefix("http://")
        try:
            return httpx.get(self.url + "/readyz", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def stop(self) -> None:
        """End the server as an operator does."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)
            self._process = None

    def call(self, action: str, value: Any) -> Any:
        """Call an action as ada."""
        if self._ada is None:
            self._ada = self._signed_in()
        answer = self._ada.post(f"{self.url}/v1/actions/{action}", json=value)
        if answer.status_code == 401:  # a session ends that nobody used for a while
            self._ada.close()
            self._ada = self._signed_in()
            answer = self._ada.post(f"{self.url}/v1/actions/{action}", json=value)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def _signed_in(self) -> httpx.Client:
        ada = httpx.Client(timeout=60)
        for one in self.sign_in("ada"):
            ada.cookies.set(one["name"], one["value"])
        ada.headers["Squad-Csrf"] = ada.get(f"{self.url}/auth/session").json()["csrf"]
        return ada

    def sign_in(self, name: str) -> list[dict[str, Any]]:
        """Sign somebody in; returns the cookies a browser would hold."""
        with httpx.Client(base_url=self.url, headers={"Accept": "application/json"}) as client:
            answer = client.post("/login", json={"name": name, "password": PASSWORD})
            assert answer.status_code == 200, answer.text
            return [
                {"name": one.name, "value": one.value, "url": self.url, "httpOnly": True}
                for one in client.cookies.jar
            ]

    def close(self) -> None:
        """End it and remove what it left."""
        self.stop()
        if self._ada is not None:
            self._ada.close()
        shutil.rmtree(self.home, ignore_errors=True)
