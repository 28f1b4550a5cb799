from __future__ import annotations

import msgspec
import pytest

from agentsquad.kernel.manifest import ManifestError, load
from agentsquad.trust.identity.contract import AccountNameError
from agentsquad.trust.identity.provider import (
    IDENTITY_PROVIDER,
    Rule,
    account_name,
    grants_of,
    provider_of,
    values_of,
)

RULES = (
    Rule(group="squad-*", role="viewer", namespace="*"),
    Rule(group="squad-operators", role="operator", namespace="acme"),
    Rule(group="CN=Ops,DC=example", role="operator"),
)


@pytest.mark.parametrize(
    ("groups", "held"),
    [
        ((), {}),
        (("others",), {}),
        (("squad-x",), {"*": ("viewer",)}),
        (("Squad-Operators", "others"), {"*": ("viewer",), "acme": ("operator",)}),
        (("cn=ops,dc=EXAMPLE",), {"default": ("operator",)}),
        (("xsquad-",), {}),
    ],
)
def test_groups_are_mapped_to_roles(groups, held):
    assert grants_of(RULES, groups) == held


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("Grace", "grace"),
        ("EXAMPLE\\Grace Hopper", "example-grace-hopper"),
        (" g@X.org ", "g@x.org"),
    ],
)
def test_a_name_elsewhere_becomes_the_name_of_an_account(given, name):
    assert account_name(given) == name
    assert account_name(given, "@corp") == name + "@corp"


@pytest.mark.parametrize("given", ["", "---", "雨", "\0"])
def test_what_is_no_name_elsewhere_names_no_account(given):
    with pytest.raises(AccountNameError):
        account_name(given)


def test_a_claim_is_one_text_or_several():
    assert values_of("a") == ("a",)
    assert values_of(["a", 1, "b"]) == ("a", "b")
    assert values_of({"a": 1}) == values_of(None) == values_of(7) == ()


def manifest(spec: str):
    text = f"""
apiVersion: agentsquad.dev/v1
kind: IdentityProvider
metadata: {{name: corp}}
spec: {spec}
"""
    return load(text, file="corp.yaml", kinds={"IdentityProvider": IDENTITY_PROVIDER})


def test_a_provider_is_what_its_manifest_says():
    (resource,) = manifest(
        "{oidc: {issuer: 'https://login.example.com', clientId: squad},"
        " mapping: [{group: ops, role: operator, namespace: acme}]}"
    )
    found = provider_of({"metadata": {"name": "corp"}, "spec": resource.spec})
    assert (found.name, found.protocol, found.oidc.client_id) == ("corp", "oidc", "squad")
    assert grants_of(found.mapping, ["ops"]) == {"acme": ("operator",)}


@pytest.mark.parametrize(
    ("told", "proven"),
    [
        ({"amr": ["pwd", "mfa"]}, True),
        ({"acr": "urn:strong"}, True),
        ({"amr": ["pwd"], "acr": "urn:weak"}, False),
        ({"amr": "mfa"}, True),
        ({"amr": None, "acr": 7}, False),
        ({}, False),
    ],
)
def test_a_second_factor_there_counts_by_what_the_provider_says_of_this_sign_in(told, proven):
    (resource,) = manifest(
        "{oidc: {issuer: 'https://login.example.com', clientId: squad},"
        " strongWhen: [mfa, 'urn:strong']}"
    )
    looked = provider_of({"metadata": {"name": "corp"}, "spec": resource.spec})
    assert looked.proves_second_factor(told) is proven
    assert msgspec.structs.replace(looked, strong_when=(), strong=True).proves_second_factor(told)
    assert not msgspec.structs.replace(looked, strong_when=()).proves_second_factor(told)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("{}", "exactly one"),
        (
            "{oidc: {issuer: 'https://a', clientId: b}, strong: true, strongWhen: [mfa]}",
            "does not belong",
        ),
        ("{ldap: {url: 'ldaps://a', baseDn: c}, strongWhen: [mfa]}", "does not belong"),
        ("{oidc: {issuer: 'https://a', clientId: b}, ldap: {url: 'ldaps://a', baseDn: c}}", "one"),
        ("{oidc: {issuer: 'http://login.example.com', clientId: b}}", "not https"),
        ("{ldap: {url: 'ldap://a.example.com', baseDn: c, startTls: false}}", "in the clear"),
        ("{ldap: {url: 'ldaps://a', baseDn: c, userFilter: '(uid=x)'}}", "{name}"),
        (
            "{oidc: {issuer: 'https://evil', clientId: b, clientSecretFrom: ANTHROPIC_API_KEY}}",
            "LOGIN_",
        ),
        ("{ldap: {url: 'ldaps://evil', baseDn: c, bindPasswordFrom: SQUAD_TOKEN}}", "LOGIN_"),
        (
            "{ldap: {url: 'ldaps://a', baseDn: c}, mapping: [{group: a, role: 'No role'}]}",
            "not a role",
        ),
    ],
)
def test_a_provider_that_would_not_be_safe_is_refused(spec, said):
    with pytest.raises(ManifestError) as caught:
        manifest(spec)
    assert said in str(caught.value.to_dict())
