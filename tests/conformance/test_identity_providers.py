"""Signing in elsewhere, against providers that other people wrote:
oidc-provider, OpenLDAP, and pysaml2's identity provider."""

from __future__ import annotations

import base64
import importlib.util
import re
import shutil
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx
import msgspec
import pytest

from agentsquad.runtime.control.resource import applied_event
from agentsquad.runtime.engine.plugin import system_clock
from agentsquad.runtime.ledger.plugin import open_ledger
from agentsquad.testing.entropy import SeededEntropy
from agentsquad.trust.identity.adapters.ed25519_tokens import Ed25519Tokens
from agentsquad.trust.identity.adapters.home_key import KeySealer
from agentsquad.trust.identity.adapters.ldap import Ldap3Login
from agentsquad.trust.identity.adapters.memory import QuickHasher
from agentsquad.trust.identity.adapters.oidc import HttpOidc
from agentsquad.trust.identity.adapters.passkeys import WebauthnKeys
from agentsquad.trust.identity.adapters.pyotp_codes import PyotpCodes
from agentsquad.trust.identity.adapters.saml import PysamlLogin
from agentsquad.trust.identity.contract import (
    FactorNeededError,
    LockedError,
    ProviderError,
    ProviderMissingError,
    Shown,
    SignInFailedError,
    TicketError,
    Visit,
)
from agentsquad.trust.identity.office import Desk, Instruments
from agentsquad.trust.identity.providers import Protocols

CALLBACK = "http://127.0.0.1:8420/auth/providers/corp/callback"
HERE = Visit(address="10.0.0.1")
MAPPING = [
    {"group": "squad-operators", "role": "operator", "namespace": "acme"},
    {"group": "squad-*", "role": "viewer", "namespace": "*"},
]


def _peers() -> ModuleType:
    if "squad_peers" not in sys.modules:
        path = Path(__file__).parents[2] / "tools" / "peers.py"
        spec = importlib.util.spec_from_file_location("squad_peers", path)
        assert spec and spec.loader
        sys.modules["squad_peers"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules["squad_peers"])
    return sys.modules["squad_peers"]


@pytest.fixture(scope="module")
def openid() -> Iterator[dict[str, str]]:
    with _peers().openid() as found:
        yield found


@pytest.fixture(scope="module")
def slapd() -> Iterator[dict[str, str]]:
    with _peers().directory() as found:
        yield found


class Bench:
    """A desk whose providers are real."""

    def __init__(self, home: Path) -> None:
        self.clock, entropy = system_clock(), SeededEntropy()
        self.ledger = open_ledger("memory:", self.clock, entropy)
        self.secrets: dict[str, str] = {}
        sealer, hasher = KeySealer(b"k" * 32), QuickHasher()
        oidc, saml = HttpOidc(self.clock, self.secrets), PysamlLogin(home / "keys")
        self.desk = Desk(
            self.ledger.store,
            self.clock,
            entropy,
            Instruments(
                sealer=lambda: sealer,
                hasher=lambda: hasher,
                codes=PyotpCodes,
                keys=WebauthnKeys,
                signer=Ed25519Tokens,
                protocols=Protocols(
                    oidc=lambda: oidc,
                    ldap=lambda: Ldap3Login(self.secrets),
                    saml=lambda: saml,
                ),
            ),
        )

    async def apply(self, **spec: Any) -> None:
        """Apply a provider named corp."""
        resource = {
            "apiVersion": "agentsquad.dev/v1",
            "kind": "IdentityProvider",
            "metadata": {"name": "corp"},
            "spec": {"mapping": MAPPING, **spec},
        }
        await self.ledger.store.append([applied_event(resource, "person:root")])

    async def who(self, progress: Any) -> Any:
        session = progress.session
        shown = Shown(session=session.value, csrf=session.csrf)
        return await self.desk.recognition.recognise(shown)


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our SAML key and its certificate, made once: that takes a while."""
    folder = tmp_path_factory.mktemp("pair")
    PysamlLogin(folder)._pair()
    return folder


@pytest.fixture
def bench(tmp_path: Path, pair: Path) -> Iterator[Bench]:
    shutil.copytree(pair, tmp_path / "keys")
    made = Bench(tmp_path)
    yield made
    made.ledger.close()


# --- OpenID Connect


async def oidc(bench: Bench, openid: dict[str, str], **changes: Any) -> None:
    bench.secrets["LOGIN_CORP"] = openid["secret"]
    await bench.apply(
        oidc={
            "issuer": openid["issuer"],
            "clientId": openid["client_id"],
            "clientSecretFrom": "LOGIN_CORP",
            **changes,
        }
    )


async def browse(location: str, name: str = "grace", *, refuse: bool = False) -> dict[str, str]:
    """What a person does at the provider: sign in, agree; return what the
    browser is sent back with."""
    async with httpx.AsyncClient(timeout=10) as browser:
        answer = await browser.get(location)
        for _ in range(12):
            if answer.is_redirect:
                to = urljoin(str(answer.url), answer.headers["location"])
                if to.startswith(CALLBACK):
                    return {k: v[0] for k, v in parse_qs(urlsplit(to).query).items()}
                answer = await browser.get(to)
                continue
            assert answer.status_code == 200, answer.text
            if refuse:
                cancel = re.search(r'href="([^"]*abort[^"]*)"', answer.text)
                assert cancel is not None
                answer = await browser.get(urljoin(str(answer.url), cancel[1]))
                continue
            action = re.search(r'action="([^"]+)"', answer.text)
            prompt = re.search(r'name="prompt" value="([^"]+)"', answer.text)
            assert action is not None and prompt is not None
            form = {"prompt": prompt[1], "login": name, "password": "any"}
            answer = await browser.post(urljoin(str(answer.url), action[1]), data=form)
    raise AssertionError("the provider never sent the browser back")


async def test_somebody_signs_in_at_an_openid_provider(bench, openid):
    await oidc(bench, openid)
    leaving = await bench.desk.providers.leave("corp", CALLBACK)

    progress = await bench.desk.providers.arrive(
        "corp", leaving.cookie, await browse(leaving.location), HERE
    )

    who = await bench.who(progress)
    assert (str(who.actor), who.method) == ("person:grace", "oidc")
    assert who.grants == {"*": ("viewer",), "acme": ("operator",)}
    account = await bench.desk.administration.find("grace")
    assert (account.display, account.email) == ("Grace Hopper", "grace@example.com")


async def test_what_an_openid_provider_sent_counts_once(bench, openid):
    await oidc(bench, openid)
    leaving = await bench.desk.providers.leave("corp", CALLBACK)
    back = await browse(leaving.location)
    await bench.desk.providers.arrive("corp", leaving.cookie, back, HERE)
    with pytest.raises((SignInFailedError, TicketError)):
        await bench.desk.providers.arrive("corp", leaving.cookie, back, HERE)


async def test_an_answer_meant_for_another_browser_counts_nothing(bench, openid):
    await oidc(bench, openid)
    mine = await bench.desk.providers.leave("corp", CALLBACK)
    other = await bench.desk.providers.leave("corp", CALLBACK)
    back = await browse(other.location)
    for cookie, answer in (
        (mine.cookie, back),
        ("", back),
        ("x" * 50, back),
        (other.cookie, {**back, "state": "other"}),
        (other.cookie, {"code": back["code"]}),
    ):
        with pytest.raises(TicketError):
            await bench.desk.providers.arrive("corp", cookie, answer, HERE)


@pytest.mark.parametrize(
    "change", [{"code": "nonsense"}, {"iss": "http://evil.example.com"}, {"iss": ""}]
)
async def test_an_answer_that_was_changed_counts_nothing(bench, openid, change):
    await oidc(bench, openid)
    leaving = await bench.desk.providers.leave("corp", CALLBACK)
    back = {**await browse(leaving.location), **change}
    with pytest.raises(SignInFailedError):
        await bench.desk.providers.arrive("corp", leaving.cookie, back, HERE)


async def test_a_code_of_one_journey_does_not_fit_another(bench, openid):
    """Injecting somebody else's code fails by PKCE and the nonce."""
    await oidc(bench, openid)
    mine = await bench.desk.providers.leave("corp", CALLBACK)
    theirs = await bench.desk.providers.leave("corp", CALLBACK)
    own, stolen = await browse(mine.location), await browse(theirs.location, "alan")
    with pytest.raises(SignInFailedError):
        await bench.desk.providers.arrive(
            "corp", mine.cookie, {**own, "code": stolen["code"]}, HERE
        )


async def test_somebody_who_says_no_at_the_provider_is_not_signed_in(bench, openid):
    await oidc(bench, openid)
    leaving = await bench.desk.providers.leave("corp", CALLBACK)
    back = await browse(leaving.location, refuse=True)
    assert back["error"] == "access_denied"
    with pytest.raises(SignInFailedError):
        await bench.desk.providers.arrive("corp", leaving.cookie, back, HERE)


async def test_a_wrong_secret_or_a_provider_that_is_gone_is_told(bench, openid):
    await oidc(bench, openid)
    bench.secrets["LOGIN_CORP"] = "wrong"
    leaving = await bench.desk.providers.leave("corp", CALLBACK)
    back = await browse(leaving.location)
    with pytest.raises(SignInFailedError) as caught:
        await bench.desk.providers.arrive("corp", leaving.cookie, back, HERE)
    assert caught.value.details["error"] == "invalid_client"

    for issuer in ("http://127.0.0.1:9", openid["issuer"] + "/"):
        await oidc(bench, openid, issuer=issuer)
        with pytest.raises(ProviderError):
            await bench.desk.providers.leave("corp", CALLBACK)


async def test_a_provider_nobody_applied_is_missing(bench):
    with pytest.raises(ProviderMissingError):
        await bench.desk.providers.leave("corp", CALLBACK)
    assert await bench.desk.providers.listed() == []


# --- LDAP


async def ldap(bench: Bench, slapd: dict[str, str], mapping: Any = MAPPING, **changes: Any) -> None:
    bench.secrets["LOGIN_CORP"] = slapd["password"]
    await bench.apply(
        mapping=mapping,
        ldap={
            "url": slapd["url"],
            "baseDn": f"ou=people,{slapd['base']}",
            "bindDn": slapd["bind_dn"],
            "bindPasswordFrom": "LOGIN_CORP",
            "groupBaseDn": f"ou=groups,{slapd['base']}",
            "startTls": False,
            **changes,
        },
    )


async def test_somebody_signs_in_with_the_password_of_a_directory(bench, slapd):
    await ldap(bench, slapd)
    who = await bench.who(
        await bench.desk.providers.password("corp", "grace", slapd["password"], HERE)
    )
    assert (str(who.actor), who.method) == ("person:grace", "ldap")
    assert who.grants == {"*": ("viewer",), "acme": ("operator",)}
    alan = await bench.who(
        await bench.desk.providers.password("corp", "alan", slapd["password"], HERE)
    )
    assert alan.grants == {}


async def test_groups_are_found_by_the_entry_itself_where_the_directory_keeps_them_there(
    bench, slapd
):
    mapping = [{"group": "cn=squad-operators,*", "role": "operator", "namespace": "acme"}]
    await ldap(bench, slapd, mapping=mapping, groupBaseDn="")
    found = await bench.desk.providers.password("corp", "grace", slapd["password"], HERE)
    assert (await bench.who(found)).grants == {"acme": ("operator",)}


@pytest.mark.parametrize("way", ["StartTLS", "ldaps"])
async def test_a_directory_is_asked_over_tls_and_by_nobody_but_the_one_it_is_known_by(
    bench, slapd, way
):
    url = slapd["url"] if way == "StartTLS" else slapd["tls_url"]
    secure = {"url": url, "startTls": True, "caFile": slapd["ca_file"]}
    await ldap(bench, slapd, **secure)
    found = await bench.desk.providers.password("corp", "grace", slapd["password"], HERE)
    assert found.session is not None

    elsewhere = url.replace("localhost", "127.0.0.1")  # which the certificate does not name
    for changes in ({"caFile": ""}, {"url": elsewhere}):
        await ldap(bench, slapd, **{**secure, **changes})
        with pytest.raises(ProviderError):
            await bench.desk.providers.password("corp", "grace", slapd["password"], HERE)


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("grace", "wrong"),
        ("grace", ""),
        ("nobody", "right"),
        ("*", "right"),
        ("gra*", "right"),
        ("grace)(uid=*", "right"),
        ("o(b)(|(uid=*", "right"),
        ("\0", "right"),
        ("", "right"),
        ("x" * 5000, "right"),
    ],
)
async def test_wrong_names_and_tricks_with_filters_are_refused_alike(bench, slapd, name, password):
    await ldap(bench, slapd)
    given = slapd["password"] if password == "right" else password
    with pytest.raises(SignInFailedError) as caught:
        await bench.desk.providers.password("corp", name, given, HERE)
    assert caught.value.message == "That name, password or code is not right."


async def test_a_name_with_letters_that_filters_use_is_found_as_it_is(bench, slapd):
    await ldap(bench, slapd)
    who = await bench.who(
        await bench.desk.providers.password("corp", "o(b", slapd["password"], HERE)
    )
    assert str(who.actor) == "person:o-b"


async def test_guesses_against_a_directory_are_slowed_down_like_others(bench, slapd):
    await ldap(bench, slapd)
    for _ in range(5):
        with pytest.raises(SignInFailedError):
            await bench.desk.providers.password("corp", "grace", "wrong", HERE)
    with pytest.raises(LockedError):
        await bench.desk.providers.password("corp", "grace", slapd["password"], HERE)


async def test_a_directory_that_is_gone_or_does_not_know_us_is_told(bench, slapd):
    for changes in (
        {"url": "ldap://127.0.0.1:9"},
        {"bindPasswordFrom": "LOGIN_OTHER"},
        {"startTls": True},
    ):
        await ldap(bench, slapd, **changes)
        bench.secrets["LOGIN_OTHER"] = "wrong"
        with pytest.raises(ProviderError):
            await bench.desk.providers.password("corp", "grace", slapd["password"], HERE)


# --- SAML

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from saml2.authn_context import PASSWORD
    from saml2.config import IdPConfig
    from saml2.metadata import entity_descriptor
    from saml2.saml import NAMEID_FORMAT_PERSISTENT, NameID
    from saml2.server import Server


class SamlPeer:
    """pysaml2's identity provider, with a key pair of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key, self.certificate = PysamlLogin(folder / "idp")._pair()
        self.metadata = folder / "idp.xml"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.metadata.write_text(str(entity_descriptor(self._config([]))))

    def _config(self, known: list[str]) -> Any:
        return IdPConfig().load(
            {
                "entityid": "https://idp.example.com/metadata",
                "key_file": self.key,
                "cert_file": self.certificate,
                "xmlsec_binary": _peers()._program("xmlsec1"),
                "metadata": {"inline": known},
                "service": {
                    "idp": {
                        "endpoints": {
                            "single_sign_on_service": [
                                (
                                    "https://idp.example.com/sso",
                                    "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect",
                                )
                            ]
                        },
                        "want_authn_requests_signed": True,
                        "policy": {"default": {"lifetime": {"minutes": 5}}},
                    }
                },
            }
        )

    def answer(self, known: str, location: str, **changes: Any) -> dict[str, str]:
        """What it posts back to the request at `location`."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            server = Server(config=self._config([known]))
            query = parse_qs(urlsplit(location).query)
            asked = server.parse_authn_request(
                query["SAMLRequest"][0],
                "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect",
                relay_state=query["RelayState"][0],
                sigalg=query["SigAlg"][0],
                signature=query["Signature"][0],
            )
            told = server.response_args(asked.message)
            told = {name: told[name] for name in ("in_response_to", "destination", "sp_entity_id")}
            made = server.create_authn_response(
                {"uid": ["grace"], "displayName": ["Grace Hopper"], "groups": ["squad-operators"]},
                **{**told, **{k: v for k, v in changes.items() if k in told}},
                name_id=NameID(format=NAMEID_FORMAT_PERSISTENT, text="subject-1"),
                authn={"class_ref": PASSWORD},
                sign_assertion=changes.get("sign", True),
                sign_response=changes.get("sign", True),
                encrypt_assertion=changes.get("encrypt", True),
            )
        text = base64.b64encode(str(made).encode()).decode()
        return {"SAMLResponse": text, "RelayState": query["RelayState"][0]}


@pytest.fixture(scope="module")
def idp(tmp_path_factory: pytest.TempPathFactory) -> SamlPeer:
    _peers().install()
    return SamlPeer(tmp_path_factory.mktemp("idp"))


async def saml(bench: Bench, idp: SamlPeer, **changes: Any) -> tuple[Any, str]:
    """Leave for the provider; return the journey and our metadata."""
    await bench.apply(saml={"metadataFile": str(idp.metadata), **changes})
    known = await bench.desk.providers.metadata("corp", CALLBACK)
    return await bench.desk.providers.leave("corp", CALLBACK), known


@pytest.mark.slow
async def test_somebody_signs_in_at_a_saml_provider_with_an_encrypted_assertion(bench, idp):
    leaving, known = await saml(bench, idp)
    form = idp.answer(known, leaving.location)
    assert b"EncryptedAssertion" in base64.b64decode(form["SAMLResponse"])
    assert b"grace" not in base64.b64decode(form["SAMLResponse"])

    progress = await bench.desk.providers.arrive("corp", leaving.cookie, form, HERE)

    who = await bench.who(progress)
    assert (str(who.actor), who.method) == ("person:grace", "saml")
    assert who.grants == {"*": ("viewer",), "acme": ("operator",)}
    with pytest.raises(TicketError):  # once
        await bench.desk.providers.arrive("corp", leaving.cookie, form, HERE)


@pytest.mark.slow
@pytest.mark.parametrize(
    "spoil",
    ["open", "unsigned", "other request", "torn", "edited", "other key", "empty", "weak padding"],
)
async def test_a_saml_answer_that_is_not_all_right_signs_nobody_in(bench, idp, spoil, tmp_path):
    leaving, known = await saml(bench, idp, encrypted=spoil not in ("unsigned", "edited"))
    changes: dict[str, Any] = {
        "open": {"encrypt": False},
        "unsigned": {"encrypt": False, "sign": False},
        "other request": {"in_response_to": "id-another"},
        "edited": {"encrypt": False},
    }.get(spoil, {})
    sender = SamlPeer(tmp_path) if spoil == "other key" else idp
    form = sender.answer(known, leaving.location, **changes)
    if spoil == "torn":
        form["SAMLResponse"] = form["SAMLResponse"][:-400]
    elif spoil == "edited":
        text = base64.b64decode(form["SAMLResponse"]).replace(b">grace<", b">admin<")
        form["SAMLResponse"] = base64.b64encode(text).decode()
    elif spoil == "empty":
        form["SAMLResponse"] = ""
    elif spoil == "weak padding":
        text = base64.b64decode(form["SAMLResponse"])
        assert b"xmlenc#rsa-oaep-mgf1p" in text
        weak = text.replace(b"xmlenc#rsa-oaep-mgf1p", b"xmlenc#rsa-1_5")
        form["SAMLResponse"] = base64.b64encode(weak).decode()

    with pytest.raises(
        SignInFailedError, match="not encrypted well" if spoil == "weak padding" else None
    ):
        await bench.desk.providers.arrive("corp", leaving.cookie, form, HERE)


@pytest.mark.slow
async def test_an_assertion_in_the_open_counts_only_where_the_provider_is_said_to_send_such(
    bench, idp
):
    leaving, known = await saml(bench, idp, encrypted=False)
    form = idp.answer(known, leaving.location, encrypt=False)
    assert (await bench.desk.providers.arrive("corp", leaving.cookie, form, HERE)).session


@pytest.mark.slow
@pytest.mark.parametrize("strong", [PASSWORD, "urn:oasis:names:tc:SAML:2.0:ac:classes:Smartcard"])
async def test_what_a_saml_provider_says_of_the_sign_in_is_looked_at(bench, idp, strong):
    bench.desk.instruments = msgspec.structs.replace(bench.desk.instruments, strict=True)
    await bench.apply(saml={"metadataFile": str(idp.metadata)}, strongWhen=[strong])
    known = await bench.desk.providers.metadata("corp", CALLBACK)
    leaving = await bench.desk.providers.leave("corp", CALLBACK)
    form = idp.answer(known, leaving.location)
    if strong == PASSWORD:  # which is what this one says
        assert (await bench.desk.providers.arrive("corp", leaving.cookie, form, HERE)).session
    else:
        with pytest.raises(FactorNeededError):
            await bench.desk.providers.arrive("corp", leaving.cookie, form, HERE)


@pytest.mark.slow
async def test_an_answer_to_another_browsers_saml_request_counts_nothing(bench, idp):
    mine, known = await saml(bench, idp)
    other = await bench.desk.providers.leave("corp", CALLBACK)
    form = idp.answer(known, other.location)
    with pytest.raises(TicketError):
        await bench.desk.providers.arrive("corp", mine.cookie, form, HERE)
    form["RelayState"] = parse_qs(urlsplit(mine.location).query)["RelayState"][0]
    with pytest.raises(SignInFailedError):
        await bench.desk.providers.arrive("corp", mine.cookie, form, HERE)


async def test_metadata_that_is_absent_or_none_is_told(bench, idp, tmp_path):
    (tmp_path / "bad.xml").write_text("<a/>")
    for place in (tmp_path / "absent.xml", tmp_path / "bad.xml"):
        await bench.apply(saml={"metadataFile": str(place)})
        with pytest.raises(ProviderError):
            await bench.desk.providers.leave("corp", CALLBACK)
