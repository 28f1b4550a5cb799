"""The same commands, carried out here and by a server: the same output, the
same exit code."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agentsquad.assembly.remote import RemoteInstallation
from agentsquad.surfaces.cli.main import carried_out, guarded
from agentsquad.surfaces.rest.contract import Logins
from agentsquad.surfaces.rest.plugin import logins

pytestmark = pytest.mark.slow
ORDER = "ISA*00*"
ALIKE = {
    "runs": ("runs", "list"),
    "runs as json": ("runs", "list", "-o", "json"),
    "runs as yaml": ("runs", "list", "-o", "yaml"),
    "a run": ("runs", "show", "{paid}"),
    "a run that waits": ("runs", "show", "{asks}", "-o", "json"),
    "no run": ("runs", "show", "zzz", "-o", "json"),
    "inbox": ("inbox",),
    "events": ("log", "show", "--limit", "9"),
    "an event": ("log", "show", "5", "-o", "json"),
    "verified": ("log", "verify"),
    "a proof": ("log", "prove", "3"),
    "no event": ("log", "show", "9999"),
    "cost": ("cost", "--by", "model"),
    "replay": ("replay", "{paid}"),
    "fork": ("fork", "{paid}", "--set", "input/lines=[1,2,3]"),
    "explained": ("explain", "AgentWorkflow.graph.nodes"),
    "a budget": ("budget", "set", "tenant:acme", "250.00", "USD", "--period", "month"),
    "agents": ("get", "agents", "-o", "json"),
    "listed": ("resources", "list", "agents"),
    "a file": ("edi", "check", "folder/a.edi", "-o", "json"),
    "no file": ("edi", "check", "folder/none.edi"),
    "a manifest": ("apply", "-f", "folder/pool.yaml"),
    "a wrong manifest": ("apply", "-f", "folder/wrong.yaml"),
    "misspelt": ("runs", "lst"),
    "misused": ("runs", "list", "--limit", "many"),
    "a run that ends": ("run", "order", "--input", '{{"lines": [2]}}', "--key", "again"),
    "cancelled": ("runs", "cancel", "{asks}", "--reason", "no more"),
    "a bug": ("crash", "-o", "json"),
}


class Typed:
    """Commands typed at a machine whose environment names a server."""

    def __init__(self, installation: Any, capsys: Any) -> None:
        self._installation = installation
        self._capsys = capsys

    def __call__(self, *words: str) -> tuple[int, str, str]:
        self._capsys.readouterr()
        here = self._installation
        code = guarded(lambda: carried_out(here, list(words)), here, list(words))
        return (code, *self._capsys.readouterr())


@pytest.fixture
def remote(
    squad: Callable[..., Any], shop: Any, address: str, monkeypatch: Any, capsys: Any
) -> Typed:
    monkeypatch.setenv("SQUAD_SERVER", address)
    monkeypatch.setenv("SQUAD_TOKEN", "ada")
    return Typed(RemoteInstallation(shop), capsys)


@pytest.fixture
def folder(tmp_path: Path, squad: Any) -> Path:
    """Files where the commands are typed; `squad` goes there."""
    place = tmp_path / "folder"
    place.mkdir()
    (place / "a.edi").write_text(ORDER)
    head = "apiVersion: agentsquad.dev/v1\nkind: Pool\nmetadata: {name: gpu}\nspec: "
    (place / "pool.yaml").write_text(head + "{match: [models.generate], slots: 2}\n")
    (place / "wrong.yaml").write_text(head + "{match: [], slots: none}\n")
    return place


def steady(text: str) -> str:
    """Hide what differs from call to call: ids drawn at random, and how long
    something took."""
    text = re.sub(r"\b[0-9a-z]{26}\b|\b[0-9a-f]{12}\b", "ID", text)
    text = re.sub(r"\b01[0-9a-z]{8}\b", "ID", text)
    text = re.sub(r'("ms": \d+)\.0\b', r"\1", text)  # a number is a number
    return re.sub(r"took +[\d.]+ \w+", "took", text)


@pytest.mark.parametrize("name", ALIKE)
def test_a_command_says_the_same_from_afar(
    squad: Any, remote: Typed, folder: Path, name: str
) -> None:
    items = squad("runs", "list", "-o", "json").json()["items"]
    ids = {"asks": items[0]["id"], "paid": items[1]["id"]}
    words = [word.format(**ids) for word in ALIKE[name]]
    here, there = squad(*words), remote(*words)
    assert there[0] == here.code, there
    if name != "a bug":  # what broke is told to whoever owns the process alone
        assert steady(there[1]) == steady(here.out)


def test_what_is_made_there_is_written_here(remote: Typed, folder: Path) -> None:
    items = json.loads(remote("runs", "list", "-o", "json")[1])["items"]
    code, out, _ = remote("prove", items[1]["id"], "-o", "folder/case.zip")
    assert (code, (folder / "case.zip").read_bytes()[:2]) == (0, b"PK")
    assert "folder/case.zip" in out and "squad-call" not in out


def test_a_long_file_goes_as_a_blob(remote: Typed, folder: Path) -> None:
    (folder / "long.edi").write_text(ORDER + "x" * 600_000)
    code, out, _ = remote("edi", "check", "folder/long.edi", "-o", "json")
    assert (code, json.loads(out)["valid"]) == (2, False)


def test_nobody_answers_and_nobody_is_let_in(remote: Typed, monkeypatch: Any) -> None:
    monkeypatch.setenv("SQUAD_TOKEN", "no-such")
    code, out, _ = remote("runs", "list", "-o", "json")
    assert (code, json.loads(out)["error"]["code"]) == (3, "identity.credential")
    monkeypatch.setenv("SQUAD_SERVER", "http://127.0.0.1:9")
    code, out, _ = remote("runs", "list", "-o", "json")
    assert (code, json.loads(out)["error"]["code"]) == (9, "server.unreachable")
    for url in ("http://squad.example", "ftp://x", "https://a:b@c", "https://x/y", "nonsense"):
        monkeypatch.setenv("SQUAD_SERVER", url)
        code, out, _ = remote("runs", "list", "-o", "json")
        assert (code, json.loads(out)["error"]["code"]) == (2, "server.address"), url


def test_who_asks_is_said_by_the_token_alone(remote: Typed) -> None:
    assert remote("whoami", "-o", "json")[:2][0] == 0
    code, out, _ = remote("runs", "list", "--as", "bob", "-o", "json")
    assert (code, json.loads(out)["error"]["code"]) == (2, "server.actor")


def test_a_token_is_kept_for_its_server_until_one_logs_out(
    remote: Typed, folder: Path, monkeypatch: Any, address: str, shop: Any
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
    opened = shop.open

    def open_(*words: Any) -> Any:
        squad = opened(*words)
        squad.ports.put(Logins, logins(os.environ))
        return squad

    monkeypatch.setattr(shop, "open", open_)
    monkeypatch.delenv("SQUAD_TOKEN")
    (folder / "token").write_text("ada\n")
    assert remote("runs", "list")[0] == 3
    code, out, _ = remote("login", address, "--token", "folder/token", "-o", "json")
    assert (code, json.loads(out)["actor"]) == (0, "person:ada")
    kept = folder / "config" / "squad" / "logins.json"
    assert stat.S_IMODE(os.stat(kept).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(kept.parent).st_mode) == 0o700
    assert remote("runs", "list")[0] == 0
    assert json.loads(remote("logout", address, "-o", "json")[1])["forgotten"] is True
    assert remote("runs", "list")[0] == 3
    (folder / "token").write_text("no-such\n")
    assert remote("login", address, "--token", "folder/token")[0] == 3
