"""What only a server can do to a ledger: refuse, vanish, fill up, be another
release's, be changed behind our back. Each is a typed error that says what to
do, and none shows a password.
"""

from __future__ import annotations

import asyncio
import importlib.util
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest

from agentsquad.kernel.errors import IntegrityError, SquadError
from agentsquad.kernel.event import NewEvent
from agentsquad.runtime.ledger.adapters.postgres import wire as wires
from agentsquad.runtime.ledger.adapters.postgres.target import parse
from agentsquad.runtime.ledger.verification import verify

_path = Path(__file__).with_name("ledger_kit.py")
_spec = importlib.util.spec_from_file_location("ledger_kit", _path)
assert _spec and _spec.loader
kit = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(kit)

pytestmark = pytest.mark.slow
SECRET = "s3cr3t-word"


def shown(error: SquadError) -> str:
    """Everything of an error that a person or program is shown."""
    return f"{error} {error.to_dict()} {error!r}"


def refused(url: str) -> SquadError:
    with pytest.raises(SquadError) as caught:
        kit.open_test_ledger(url)
    assert SECRET not in shown(caught.value)
    assert caught.value.hint
    return caught.value


def rewritten(server: dict[str, Any], **parts: Any) -> str:
    given = {**server, "database": "postgres", **parts}
    return "postgresql://{user}:{password}@{host}:{port}/{database}".format(**given)


def test_a_wrong_password_an_unknown_user_and_an_unknown_database_are_told_apart(
    postgresql_server: dict[str, Any],
) -> None:
    assert refused(rewritten(postgresql_server, password=SECRET)).code == "ledger.access"
    assert refused(rewritten(postgresql_server, user="x", password=SECRET)).code == "ledger.access"
    assert refused(rewritten(postgresql_server, database="nowhere")).code == "ledger.database"


def test_a_connection_that_is_less_secure_than_asked_for_is_refused(
    postgresql_server: dict[str, Any],
) -> None:
    url = rewritten(postgresql_server) + "?sslmode=require"
    assert refused(url).code == "ledger.access"


def test_a_server_that_is_not_there_is_unreachable(
    postgresql_server: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wires, "PATIENCE_S", 0.2)
    error = refused(rewritten(postgresql_server, port=1, password=SECRET))
    assert (error.code, error.retry_after_ms) == ("ledger.unreachable", 1_000)


@pytest.mark.parametrize(
    "address", ["?schema=", "?schema=a-b", "?schema=Upper", "?schema=x;drop", "?nonsense=1", ":x/y"]
)
def test_an_address_that_is_none_is_refused_without_repeating_it(address: str) -> None:
    url = f"postgresql://ada:{SECRET}@127.0.0.1{address if address[0] == ':' else '/db' + address}"
    assert refused(url).code == "ledger.url"


def test_what_an_address_shows_has_neither_user_nor_password() -> None:
    target = parse(f"postgresql://ada:{quote(SECRET)}@db.example:5433/squad?sslmode=verify-full")
    assert target.shown == "postgresql://db.example:5433/squad?schema=squad"
    assert SECRET not in repr(target)
    assert b"sslmode=verify-full" in target.conninfo


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    error = refused("postgresql://127.0.0.1/db")
    assert error.code == "ledger.extra" and "agentsquad[postgres]" in str(error.hint)


@pytest.fixture
def admin(postgresql_url: str) -> Iterator[Callable[..., Any]]:
    """Carries out SQL in the ledger's schema, as somebody with a client
    would.
    """
    url, _, schema = postgresql_url.partition("?schema=")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"SET search_path = {schema}")
        yield connection.execute


def test_tables_of_another_release_are_not_touched(postgresql_url: str, admin: Any) -> None:
    kit.open_test_ledger(postgresql_url).close()
    admin("UPDATE meta SET format = 99")
    error = refused(postgresql_url)
    assert error.code == "ledger.schema" and "99" in error.message


def test_a_user_who_may_create_nothing_is_told_so(
    postgresql_server: dict[str, Any], postgresql_url: str
) -> None:
    schema = postgresql_url.partition("?schema=")[2]
    with psycopg.connect(postgresql_server["url"], autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {schema} LOGIN PASSWORD '{SECRET}'")
        try:
            url = rewritten(postgresql_server, user=schema, password=SECRET)
            assert refused(f"{url}?schema={schema}").code == "ledger.access"
        finally:
            connection.execute(f"DROP ROLE {schema}")


async def test_a_server_that_takes_no_writes_says_so_and_is_still_read(
    postgresql_url: str,
) -> None:
    ledger = kit.open_test_ledger(postgresql_url)
    await ledger.store.append([kit.event()])
    wire = ledger.store.volume._wire
    wire.ask((wires.Statement("SET default_transaction_read_only = on"), ()))
    with pytest.raises(SquadError) as caught:
        await ledger.store.append([kit.event()])
    assert caught.value.code == "ledger.read_only"
    assert len(await ledger.store.read()) == 1
    wire.ask((wires.Statement("SET default_transaction_read_only = off"), ()))
    await ledger.store.append([kit.event()])
    ledger.close()


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ("53100", "ledger.full"),
        ("55P03", "ledger.busy"),
        ("42501", "ledger.access"),
        ("XX001", "ledger.damaged"),
        ("22000", "ledger.unreadable"),
    ],
)
async def test_what_the_server_refuses_amid_a_commit_is_named_and_leaves_no_trace(
    state: str, code: str, postgresql_url: str, admin: Any
) -> None:
    ledger = kit.open_test_ledger(postgresql_url)
    await ledger.store.append([kit.event("s", n=0)])
    admin(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" RAISE EXCEPTION 'no' USING ERRCODE = '{state}'; END $$"
    )
    admin("CREATE TRIGGER refuse BEFORE INSERT ON event EXECUTE FUNCTION refuse()")
    for _ in range(2):
        with pytest.raises(SquadError) as caught:
            await ledger.store.append([kit.event("s", "other.kind", n=1)])
        assert caught.value.code == code and caught.value.hint
    assert [e.payload["n"] for e in await ledger.store.read_stream("s")] == [0]
    admin("DROP TRIGGER refuse ON event")
    await ledger.store.append([kit.event("s", "other.kind", n=1)], expect={"s": 1})
    assert ledger.store.volume.types() == {"other.kind": 1, "step.completed": 1}
    ledger.close()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE event SET payload = payload || '\\x20' WHERE seq = 3",
        "UPDATE event SET header = set_byte(header, 9, 90) WHERE seq = 300",
        "UPDATE event SET salt = '\\x00' WHERE seq = 3",
        "UPDATE type SET name = 'other.kind'",
        "DELETE FROM type",
        "DELETE FROM event WHERE seq = 7",
        "DELETE FROM event WHERE seq = 330",
        "UPDATE event SET back = 0 WHERE seq = 200",
        "UPDATE tile SET hashes = set_byte(hashes, 40, 1 + get_byte(hashes, 40) % 250)",
        "DELETE FROM tile",
        "UPDATE head SET size = size - 1",
        "UPDATE head SET root = sha256('other')",
        "DELETE FROM head",
        "UPDATE stream SET version = version - 1 WHERE name = 'long'",
        "UPDATE stream SET last = 5 WHERE name = 'long'",
        "UPDATE chapter SET places[3] = 1",
        "DROP TABLE tile",
    ],
)
async def test_rows_changed_by_another_client_are_found_and_never_served(
    change: str, postgresql_url: str, admin: Any
) -> None:
    ledger = kit.open_test_ledger(postgresql_url)
    for start in range(0, 330, 47):
        batch = [
            kit.event("long" if n % 3 else f"run:{n % 7}", n=n, text="x" * n)
            for n in range(start, min(start + 47, 330))
        ]
        await ledger.store.append(batch)
    truth = await ledger.store.read(limit=1_000)
    long = await ledger.store.read_stream("long")
    ledger.close()
    for one in change.split("; "):
        admin(one)
    try:
        ledger = kit.open_test_ledger(postgresql_url)
    except SquadError as error:
        assert isinstance(error, IntegrityError) or error.code == "ledger.schema"
        return
    found = 0
    for read, wanted in (
        (ledger.store.read(limit=1_000), truth),
        (ledger.store.read_stream("long"), long),
    ):
        try:
            assert await read == wanted
        except SquadError as error:
            assert isinstance(error, IntegrityError) or error.code == "ledger.schema", error
            found += 1
    try:
        report = await verify(ledger, lambda done, total: None)
        found += not report.valid
    except SquadError:
        found += 1
    assert found, "served as if nothing had happened"
    ledger.close()


async def test_a_commit_whose_connection_was_lost_is_written_exactly_once(
    postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection dies at every point of a commit, answered or not."""
    ledger = kit.open_test_ledger(postgresql_url)
    await ledger.store.append([kit.event("s", n=0)])
    volume = ledger.store.volume
    run = wires.Wire.run
    for number, when in enumerate(("before", "after", "before begin", "after", "before"), start=1):
        struck: list[bool] = []

        def strike(self: Any, *commands: Any, when: str = when, struck: list[bool] = struck) -> Any:
            committing = any(statement is wires.COMMIT for statement, _ in commands)
            beginning = any(statement is wires.BEGIN for statement, _ in commands)
            due = beginning if when == "before begin" else committing
            if self is not volume._wire or struck or not due:
                return run(self, *commands)
            struck.append(True)
            if when == "after":
                run(self, *commands)
            self.drop()
            raise wires.LostError("cut")

        with monkeypatch.context() as patch:
            patch.setattr(wires.Wire, "run", strike)
            await ledger.store.append([kit.event("s", n=number)], expect={"s": number})
        assert struck
    assert [e.payload["n"] for e in await ledger.store.read_stream("s")] == list(range(6))
    assert (await verify(ledger, lambda done, total: None)).valid
    ledger.close()


@pytest.mark.parametrize("written", [False, True])
async def test_a_commit_lost_while_the_server_stays_away_is_of_unknown_outcome(
    written: bool, postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And when it is back the log goes on from what is there."""
    ledger = kit.open_test_ledger(postgresql_url)
    await ledger.store.append([kit.event("s", n=0)])
    run = wires.Wire.run
    volume = ledger.store.volume

    def away(self: Any) -> Any:
        raise wires.LostError("no server")

    def cut(self: Any, *commands: Any) -> Any:
        if self is volume._wire and any(one is wires.COMMIT for one, _ in commands):
            if written:
                run(self, *commands)
            monkeypatch.setattr(wires.Wire, "_connect", away)
            self.drop()
        return run(self, *commands)

    monkeypatch.setattr(wires, "PATIENCE_S", 0.1)
    monkeypatch.setattr(wires.Wire, "run", cut)
    for code in ("ledger.unknown", "ledger.unreachable"):
        with pytest.raises(SquadError) as caught:
            await ledger.store.append([kit.event("s", n=1)])
        assert caught.value.code == code
    monkeypatch.undo()
    there = [e.payload["n"] for e in await ledger.store.read_stream("s")]
    assert there == ([0, 1] if written else [0])
    await ledger.store.append([kit.event("s", n=2)], expect={"s": len(there)})
    assert [e.payload["n"] for e in await ledger.store.read_stream("s")] == [*there, 2]
    assert (await verify(ledger, lambda done, total: None)).valid
    ledger.close()


async def test_a_transaction_left_open_by_a_process_that_stands_still_ends_by_itself(
    postgresql_url: str,
) -> None:
    first = kit.open_test_ledger(postgresql_url, "one")
    second = kit.open_test_ledger(postgresql_url, "two")
    first.store.volume.begin()  # and then it is stopped
    await second.store.append([kit.event("s", n=1)])
    await first.store.append([kit.event("s", n=2)])
    assert [e.payload["n"] for e in await second.store.read_stream("s")] == [1, 2]
    first.close()
    second.close()


async def test_the_token_is_compared_in_the_transaction_that_writes(postgresql_url: str) -> None:
    first = kit.open_test_ledger(postgresql_url, "one")
    second = kit.open_test_ledger(postgresql_url, "two")
    assert first.tenure.take(60_000).token == 1 and first.tenure.held == 1
    assert second.tenure.take(60_000).holder != "" and second.tenure.held is None
    await first.store.append([kit.event()])
    await second.store.append([kit.event()])  # as one that stands by
    first.tenure.renew(1)
    await asyncio.sleep(0.05)
    second.tenure.take(60_000)
    assert second.tenure.held == 2 and not first.tenure.renew(60_000)
    with pytest.raises(SquadError) as caught:
        await first.store.append([kit.event()])
    assert caught.value.code == "ledger.fenced"
    assert await second.store.size() == 2
    first.tenure.forget()
    await first.store.append([kit.event()])
    second.tenure.release()
    assert first.tenure.take(1_000).token == 3
    first.close()
    second.close()


async def test_a_person_erased_is_gone_from_the_tables(postgresql_url: str, admin: Any) -> None:
    ledger = kit.open_test_ledger(postgresql_url)
    person = NewEvent(
        stream="vendor:1",
        type="vendor.changed",
        payload={"contact": "ada@example.org"},
        personal={"/contact": "person:1"},
    )
    await ledger.store.append([person])
    assert admin("SELECT count(*) FROM key WHERE key IS NOT NULL").fetchone() == (1,)
    assert ledger.keyring.destroy("person:1") == 1
    assert admin("SELECT key, erasures FROM key").fetchall() == [(None, 1)]
    [event] = await ledger.store.read()
    assert "$erased" in event.payload["contact"]
    ledger.close()


async def test_keys_may_lie_in_another_database(
    postgresql_url: str, postgresql_database: str
) -> None:
    from agentsquad.runtime.ledger.plugin import open_ledger

    ledger = open_ledger(
        postgresql_url, kit.TestClock(), kit.SeededEntropy(), keys=postgresql_database
    )
    ledger.keyring.encrypt("person:1", b"x")
    ledger.close()
    with psycopg.connect(postgresql_database) as connection:
        assert connection.execute("SELECT subject FROM squad.key").fetchall() == [("person:1",)]


async def test_a_database_set_back_to_an_older_backup_is_noticed(
    postgresql_url: str, admin: Any
) -> None:
    from agentsquad.runtime.ledger.plugin import open_ledger

    home = Path(tempfile.mkdtemp())
    try:
        ledger = open_ledger(postgresql_url, kit.TestClock(), kit.SeededEntropy(), home=str(home))
        first = [await ledger.store.append([kit.event()]), await ledger.store.head()][1]
        await ledger.store.append([kit.event()])
        ledger.close()
        admin("DELETE FROM event WHERE seq = 2")
        admin("UPDATE head SET size = 1, root = %s", [first.root])
        admin("UPDATE stream SET version = 1, last = 1")
        with pytest.raises(SquadError) as caught:
            open_ledger(postgresql_url, kit.TestClock(), kit.SeededEntropy(), home=str(home))
        assert caught.value.code == "ledger.lost"
    finally:
        shutil.rmtree(home)


def certify(name: str, key: Path, certificate: Path) -> None:
    """Make a certificate that is its own authority."""
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )


@pytest.fixture
def secured(postgresql_server: dict[str, Any], tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A server of its own that speaks TLS: its address, and the certificate to
    trust.
    """
    folder = Path(tempfile.mkdtemp(prefix="squad-test-"))
    server = sys.modules["squad_services"].Server("postgresql", folder)
    server.prepare()
    server.start()
    key, certificate = server.data / "server.key", server.data / "server.crt"
    certify("localhost", key, certificate)
    owner = server.data.stat()
    for path in (key, certificate):
        path.chmod(0o600)
        shutil.chown(path, owner.st_uid, owner.st_gid)
    url = server.described["url"]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET ssl = on")
        connection.execute("SELECT pg_reload_conf()")
    trusted = tmp_path / "root.crt"
    shutil.copy(certificate, trusted)
    yield url.replace("127.0.0.1", "localhost"), trusted
    server.stop()
    shutil.rmtree(folder)


async def test_tls_is_libpqs_own_and_checks_whom_it_speaks_to(
    secured: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, trusted = secured
    address = f"{url}?sslmode=verify-full&sslrootcert={quote(str(trusted))}"
    ledger = kit.open_test_ledger(address)
    await ledger.store.append([kit.event()])
    said = ledger.store.volume._wire.ask(
        (wires.Statement("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"), ())
    )
    assert said[0].get_value(0, 0) == b"\x01"
    ledger.close()
    other = tmp_path / "other.crt"
    certify("localhost", tmp_path / "other.key", other)
    for wrong in (
        address.replace(str(trusted), str(other)),
        address.replace("@localhost", "@127.0.0.1"),
    ):
        assert refused(wrong).code == "ledger.access"
