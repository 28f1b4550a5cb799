"""Identity providers for tests: other people's programs on this machine.

`python tools/peers.py install` gets what is missing: packages from npm into
tests/peers; `slapd`, `xmlsec1` and `chromium` from Debian when run as
root. `openid()` and `directory()` start one on 127.0.0.1 in a folder of its
own and stop it when the block ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import datetime
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PEERS = ROOT / "tests" / "peers"
OIDC = PEERS / "oidc"
START_S = 30.0
PR_SET_PDEATHSIG = 1
BASE = "dc=example,dc=com"
PEOPLE = {"grace": "Grace Hopper", "alan": "Alan Turing", "o(b": "Odd Name"}
GROUPS = {"squad-operators": ("grace",), "squad-admins": ()}


class PeerError(Exception):
    """A peer cannot be had; the message says how to mend that."""


def install() -> None:
    """Install what is missing; PeerError says what to do by hand."""
    for folder in sorted(one.parent for one in PEERS.glob("*/package-lock.json")):
        if not (folder / "node_modules" / ".package-lock.json").exists():
            _run(
                ["npm", "ci", "--no-audit", "--no-fund", "--silent"],
                folder,
                "install Node.js 20 or newer",
            )
    absent = [name for name in ("slapd", "xmlsec1", "chromium") if _program(name) is None]
    if absent and os.getuid() == 0 and shutil.which("apt-get"):
        env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
        command = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *absent]
        if subprocess.run(command, env=env, capture_output=True, check=False).returncode:
            subprocess.run(["apt-get", "update", "-q"], capture_output=True, check=False)
            subprocess.run(command, env=env, capture_output=True, check=False)
    for name in absent:
        if _program(name) is None:
            raise PeerError(f"run as an administrator: apt-get install {name}")


def _program(name: str) -> str | None:
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def _run(command: Sequence[str], folder: Path, hint: str) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, check=False, timeout=300)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PeerError(f"{command[0]}: {error}; {hint}") from error
    if done.returncode:
        raise PeerError(f"{command[0]} failed: {done.stderr.decode()[-500:]}; {hint}")


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _stop(process: subprocess.Popen[Any]) -> None:
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextlib.contextmanager
def openid() -> Iterator[dict[str, str]]:
    """Run oidc-provider: `issuer`, `client_id` and `secret`."""
    install()
    secret = secrets.token_hex(16)
    process = subprocess.Popen(
        ["node", "provider.mjs", secret],
        cwd=OIDC,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={"PATH": os.environ.get("PATH", ""), "NODE_ENV": "test"},
        preexec_fn=_end_with_parent,
        text=True,
    )
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        if not said:
            raise PeerError("oidc-provider does not start: try 'node provider.mjs x' by hand")
        yield {"issuer": json.loads(said)["issuer"], "client_id": "squad", "secret": secret}
    finally:
        _stop(process)
        if process.stdout is not None:
            process.stdout.close()


@contextlib.contextmanager
def directory() -> Iterator[dict[str, str]]:
    """Run slapd with a few people and groups: `url` and `tls_url`, `base`,
    `bind_dn`, the one `password` of everybody, and the certificate it is known
    by (`ca_file`)."""
    install()
    folder = Path(tempfile.mkdtemp(prefix="squad-slapd-"))
    password = secrets.token_hex(8)
    process: subprocess.Popen[bytes] | None = None
    try:
        (folder / "data").mkdir()
        _certificate(folder)
        (folder / "slapd.conf").write_text(_configuration(folder, password))
        (folder / "people.ldif").write_text(_people(password))
        load = ["slapadd", "-f", str(folder / "slapd.conf"), "-l", str(folder / "people.ldif")]
        _run([_program("slapadd") or "slapadd", *load[1:]], folder, "apt-get install slapd")
        port, secure = _free_port(), _free_port()
        urls = f"ldap://127.0.0.1:{port} ldaps://127.0.0.1:{secure}"
        process = subprocess.Popen(
            [_program("slapd") or "slapd", "-f", str(folder / "slapd.conf"), "-h", urls, "-d", "0"],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=_end_with_parent,
        )
        _wait(process, port)
        yield {
            "url": f"ldap://localhost:{port}",
            "tls_url": f"ldaps://localhost:{secure}",
            "base": BASE,
            "bind_dn": f"cn=squad,{BASE}",
            "password": password,
            "ca_file": str(folder / "cert.pem"),
        }
    finally:
        if process is not None:
            _stop(process)
        shutil.rmtree(folder, ignore_errors=True)


def _configuration(folder: Path, password: str) -> str:
    return "\n".join(
        (
            *(
                f"include /etc/ldap/schema/{name}.schema"
                for name in ("core", "cosine", "inetorgperson")
            ),
            "modulepath /usr/lib/ldap",
            "moduleload back_mdb",
            "moduleload memberof",
            f"pidfile {folder}/slapd.pid",
            f"TLSCACertificateFile {folder}/cert.pem",
            f"TLSCertificateFile {folder}/cert.pem",
            f"TLSCertificateKeyFile {folder}/key.pem",
            "database mdb",
            f'suffix "{BASE}"',
            f'rootdn "cn=squad,{BASE}"',
            f"rootpw {password}",
            f"directory {folder}/data",
            "maxsize 16777216",
            "overlay memberof",
            "access to attrs=userPassword by anonymous auth by * none",
            "access to * by dn.exact=cn=squad," + BASE + " read by * none",
            "",
        )
    )


def _certificate(folder: Path) -> None:
    """Write a certificate for localhost that vouches for itself, and its
    key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


def _people(password: str) -> str:
    entries = [
        f"dn: {BASE}\nobjectClass: dcObject\nobjectClass: organization\no: Example\ndc: example",
        f"dn: ou=people,{BASE}\nobjectClass: organizationalUnit\nou: people",
        f"dn: ou=groups,{BASE}\nobjectClass: organizationalUnit\nou: groups",
    ]
    for name, display in PEOPLE.items():
        entries.append(
            f"dn: uid={name},ou=people,{BASE}\nobjectClass: inetOrgPerson\nuid: {name}\n"
            f"cn: {display}\nsn: {display.split()[-1]}\nmail: {name.replace('(', '')}@example.com\n"
            f"userPassword: {password}"
            + "".join(
                f"\nmemberOf: cn={group},ou=groups,{BASE}"
                for group, members in GROUPS.items()
                if name in members
            )
        )
    for name, members in GROUPS.items():
        listed = "".join(f"\nmember: uid={one},ou=people,{BASE}" for one in members or ("nobody",))
        entries.append(
            f"dn: cn={name},ou=groups,{BASE}\nobjectClass: groupOfNames\ncn: {name}{listed}"
        )
    return "\n\n".join(entries) + "\n"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until and process.poll() is None:
        with socket.socket() as probe:
            probe.settimeout(0.2)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise PeerError("slapd does not start: is another program kept from running it?")


if __name__ == "__main__":
    if sys.argv[1:] != ["install"]:
        print(__doc__)
        sys.exit(2)
    install()
