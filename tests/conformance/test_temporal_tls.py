"""The way to a cluster under TLS: a proxy in front of the real server ends it,
with certificates made here."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import importlib.util
import ipaddress
import ssl
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agentsquad.runtime.temporal.address import Credentials, credentials, parse
from agentsquad.runtime.temporal.contract import AddressError, UnreachableError
from agentsquad.runtime.temporal.plugin import open_engine, open_worker

_spec = importlib.util.spec_from_file_location(
    "squad_engine_kit", Path(__file__).with_name("engine_kit.py")
)
assert _spec and _spec.loader
kit = sys.modules.setdefault(_spec.name, importlib.util.module_from_spec(_spec))
if not hasattr(kit, "opened"):
    _spec.loader.exec_module(kit)
world = kit.load(Path(__file__).with_name("engine_programs.py"))

pytestmark = pytest.mark.slow


def certificates(folder: Path) -> dict[str, str]:
    """An authority, and what it has signed for a server and a client."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    now = datetime.datetime.now(datetime.UTC)
    files: dict[str, str] = {}

    def made(name: str, issuer: tuple | None) -> tuple:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        here = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        signed_by, signer = issuer or (subject, key)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(signed_by)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=1))
            .not_valid_after(now + datetime.timedelta(hours=1))
            .add_extension(x509.SubjectAlternativeName(here), critical=False)
            .add_extension(x509.BasicConstraints(issuer is None, None), critical=True)
            .sign(signer, hashes.SHA256())
        )
        plain = serialization.NoEncryption()
        form = serialization.PrivateFormat.PKCS8
        for kind, data in (
            ("pem", certificate.public_bytes(serialization.Encoding.PEM)),
            ("key", key.private_bytes(serialization.Encoding.PEM, form, plain)),
        ):
            path = folder / f"{name}.{kind}"
            path.write_bytes(data)
            files[f"{name}.{kind}"] = str(path)
        return subject, key

    authority = made("authority", None)
    made("server", authority)
    made("client", authority)
    return files


@contextlib.asynccontextmanager
async def proxy(files: dict[str, str]) -> AsyncIterator[int]:
    """A port that speaks TLS, and asks for a certificate of the client."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=files["authority.pem"])
    context.load_cert_chain(files["server.pem"], files["server.key"])
    context.verify_mode = ssl.CERT_REQUIRED
    context.set_alpn_protocols(["h2"])
    behind = kit.servers.shared().port

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ssl.SSLError):
            while data := await source.read(65536):
                sink.write(data)
                await sink.drain()
        sink.close()

    writers: list[asyncio.StreamWriter] = []
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        writers.append(writer)
        inner = await asyncio.open_connection("127.0.0.1", behind)
        writers.append(inner[1])
        await asyncio.gather(pump(reader, inner[1]), pump(inner[0], writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        await asyncio.gather(*serving, return_exceptions=True)


async def test_runs_are_driven_under_tls_with_certificates_of_both_sides(tmp_path: Path):
    files = certificates(tmp_path)
    known = {
        "SQUAD_TEMPORAL_CA": files["authority.pem"],
        "SQUAD_TEMPORAL_CERT": files["client.pem"],
        "SQUAD_TEMPORAL_KEY": files["client.key"],
    }
    world.afresh()
    async with proxy(files) as port, kit.opened("embedded", world.PLUGIN) as room:
        address = f"temporal://127.0.0.1:{port}/default?queue=tls-{port}&tls=on"
        worker = open_worker(room.world(), address, known)
        async with worker.serving():
            engine = open_engine(room.world(), address, known)
            run = await engine.start("child", world.N(1))
            assert (await engine.wait(run, timeout_ms=kit.LONG_MS)).output == 2
            await engine.close()
        for wrong in ({}, {"SQUAD_TEMPORAL_CA": files["authority.pem"]}):
            with pytest.raises(UnreachableError):
                await open_engine(room.world(), address, wrong).start("child", world.N(1))
        with pytest.raises(UnreachableError):
            plain = address.replace("tls=on", "tls=off")
            await open_engine(room.world(), plain).start("child", world.N(1))


def test_credentials_come_from_the_environment_and_in_pairs():
    assert credentials({}) == Credentials()
    assert credentials({"SQUAD_TEMPORAL_API_KEY": "k"}).api_key == "k"
    with pytest.raises(AddressError, match="needs its private key"):
        credentials({"SQUAD_TEMPORAL_CERT": "c.pem"})
    assert parse("temporal://h?tls=on").tls
    assert not parse("temporal://h").tls


async def test_any_credential_asks_for_tls(tmp_path: Path):
    from agentsquad.runtime.temporal.adapters.client import secured

    address = parse("temporal://h")
    assert secured(address, Credentials()) is False
    assert secured(address, Credentials(api_key="k"))
    with pytest.raises(AddressError, match="cannot read"):
        secured(address, Credentials(authority=str(tmp_path / "missing.pem")))
