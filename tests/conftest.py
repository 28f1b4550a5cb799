"""What every test stands on: reproducible property tests, and no surprise from
the environment.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# "ci" draws the same examples every time, so a red build is red on every desk;
# "explore" looks further with fresh ones: HYPOTHESIS_PROFILE=explore make
# pytest.
settings.register_profile(
    "ci",
    derandomize=True,
    deadline=None,
    max_examples=100,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("explore", deadline=None, max_examples=2000, print_blob=True)
MEMORY, ROOM = Path("/dev/shm"), 4 << 30


def _without_waiting_for_a_disk() -> None:
    """Have temp folders in memory, where there is room and programs may start.

    Processes die in tests, machines do not: whatever was synced is there
    again, whichever kind of folder it is in. TMPDIR says otherwise.
    """
    fits = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM
    if "TMPDIR" in os.environ or not fits or not os.access(MEMORY, os.W_OK):
        return
    if not os.statvfs(MEMORY).f_flag & os.ST_NOEXEC:
        os.environ["TMPDIR"] = str(MEMORY)
        tempfile.tempdir = None


_without_waiting_for_a_disk()
homes = itertools.count()
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(autouse=True)
def quiet_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory):
    """Hide the developer's own settings and keys; a store made by accident
    lands in a temp folder.
    """
    for name in list(os.environ):
        if name.startswith("SQUAD_") or name.endswith("_API_KEY"):
            monkeypatch.delenv(name)
    home = tmp_path_factory.getbasetemp() / f"squad-home-{next(homes)}"
    monkeypatch.setenv("SQUAD_HOME", str(home))


# --- servers: each test that asks for one gets a schema or database of its own


def _services() -> ModuleType:
    """The tool that keeps servers, loaded by its path."""
    if "squad_services" not in sys.modules:
        path = Path(__file__).parents[1] / "tools" / "services.py"
        spec = importlib.util.spec_from_file_location("squad_services", path)
        assert spec and spec.loader
        sys.modules["squad_services"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules["squad_services"])
    return sys.modules["squad_services"]


def _server(name: str) -> dict[str, Any]:
    """Where a server listens; a test that cannot have one fails, and says what
    to install."""
    services = _services()
    try:
        found: dict[str, Any] = services.lease(name)
    except services.ServiceError as error:
        pytest.fail(str(error), pytrace=False)
    return found


@pytest.fixture(scope="session")
def postgresql_server() -> dict[str, Any]:
    """A PostgreSQL shared by the session: host, port, user, password, url."""
    return _server("postgresql")


@pytest.fixture(scope="session")
def mariadb_server() -> dict[str, Any]:
    """A MariaDB shared by the session: host, port, user, password, url."""
    return _server("mariadb")


def _fresh() -> str:
    return f"t_{os.getpid()}_{next(homes)}_{os.urandom(3).hex()}"


@pytest.fixture
def postgresql_url(postgresql_server: dict[str, Any]) -> Iterator[str]:
    """The address of an empty schema, dropped when the test is over."""
    import psycopg

    name = _fresh()
    yield f"{postgresql_server['url']}?schema={name}"
    with psycopg.connect(postgresql_server["url"], autocommit=True) as admin:
        admin.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")


@pytest.fixture
def postgresql_database(postgresql_server: dict[str, Any]) -> Iterator[str]:
    """The address of an empty database, dropped when the test is over."""
    import psycopg

    name = _fresh()
    url = postgresql_server["url"]
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
    yield f"{url.rpartition('/')[0]}/{name}"
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture
def mariadb_database(mariadb_server: dict[str, Any]) -> Iterator[str]:
    """The address of an empty database, dropped when the test is over."""
    name, server = _fresh(), mariadb_server

    def sql(text: str) -> None:
        subprocess.run(
            [
                *("mariadb", "--no-defaults", "-h127.0.0.1", f"-P{server['port']}"),
                *(f"-u{server['user']}", f"-p{server['password']}", "-e", text),
            ],
            check=True,
            capture_output=True,
        )

    sql(f"CREATE DATABASE {name}")
    yield f"{server['url'].rpartition('/')[0]}/{name}"
    sql(f"DROP DATABASE {name}")
