"""Real servers for tests: there within seconds, shared, apart, and gone with
the last who used them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

pytestmark = pytest.mark.slow


def test_a_postgresql_answers_and_can_prepare_transactions(
    postgresql_server: dict[str, Any],
) -> None:
    with psycopg.connect(postgresql_server["url"]) as connection:
        shown = {
            name: connection.execute(f"SHOW {name}").fetchone()[0]  # type: ignore[index]
            for name in ("fsync", "synchronous_commit", "max_prepared_transactions")
        }
        address = connection.execute("SHOW listen_addresses").fetchone()
    assert shown["fsync"] == shown["synchronous_commit"] == "on"
    assert int(shown["max_prepared_transactions"]) > 0
    assert address == ("127.0.0.1",)


def test_no_server_runs_as_root(
    postgresql_server: dict[str, Any], mariadb_server: dict[str, Any]
) -> None:
    for server in (postgresql_server, mariadb_server):
        assert os.stat(f"/proc/{server['pid']}").st_uid != 0


def test_a_wrong_password_is_refused(postgresql_server: dict[str, Any]) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(postgresql_server["url"], password="wrong")


def test_each_test_has_a_database_of_its_own(
    postgresql_database: str, postgresql_server: dict[str, Any]
) -> None:
    with psycopg.connect(postgresql_database) as connection:
        connection.execute("CREATE TABLE mine (x int)")
    with psycopg.connect(postgresql_server["url"]) as other:
        assert other.execute("SELECT to_regclass('mine')").fetchone() == (None,)


def test_a_mariadb_answers_and_can_prepare_transactions(
    mariadb_server: dict[str, Any], mariadb_database: str
) -> None:
    script = (
        "CREATE TABLE t (x INT) ENGINE=InnoDB; XA START 'a'; INSERT INTO t VALUES (1); XA END 'a';"
        " XA PREPARE 'a'; XA COMMIT 'a'; SELECT x FROM t"
    )
    done = subprocess.run(
        [
            *("mariadb", "--no-defaults", "-N", "-h127.0.0.1", f"-P{mariadb_server['port']}"),
            *(f"-u{mariadb_server['user']}", f"-p{mariadb_server['password']}"),
            *("-e", script, mariadb_database.rpartition("/")[2]),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "1\n"


def test_a_server_ends_and_leaves_nothing_when_its_users_are_killed(
    postgresql_server: dict[str, Any],
) -> None:
    folder = tempfile.mkdtemp(prefix="squad-test-")
    os.chmod(folder, 0o755)  # servers run as somebody else
    tool = Path(__file__).parents[3] / "tools" / "services.py"
    environment = {**os.environ, "TMPDIR": folder, "SERVICES_IDLE_S": "0.2"}
    user = subprocess.Popen(
        [sys.executable, str(tool), "run", "postgresql"],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert user.stdout
    url = user.stdout.readline().strip()
    assert url.startswith("postgresql://") and url != postgresql_server["url"]
    psycopg.connect(url).close()
    user.kill()
    user.communicate()
    until = time.monotonic() + 20
    while list(Path(folder).glob("*/data")) or list(Path(folder).glob("*/server.json")):
        assert time.monotonic() < until, "it is still there"
        time.sleep(0.05)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)
    shutil.rmtree(folder)
