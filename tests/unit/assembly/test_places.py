"""Where a namespace keeps what it keeps: no two of them in one place."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentsquad.assembly.places import (
    SCHEMA_MAX,
    NamespaceEngineError,
    engine_of,
    folder_of,
    schema_of,
    store_of,
)
from agentsquad.assembly.settings import read, variable, within
from agentsquad.runtime.ledger.adapters.postgres.target import parse
from agentsquad.trust.access.contract import NamespaceNameError

names = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True)


@given(names, names)
def test_two_namespaces_never_share_a_schema(one: str, other: str) -> None:
    first, second = schema_of("squad", one), schema_of("squad", other)
    assert (first == second) == (one == other)
    assert max(len(first), len(second)) <= SCHEMA_MAX


def test_a_name_cut_short_is_not_the_name_of_a_shorter_one() -> None:
    long = "a" * 60
    kept = schema_of("squad", long).removeprefix("squad__")
    with pytest.raises(NamespaceNameError):
        folder_of(Path(), kept.replace("_", "-"))  # the only name that would map to it


@given(names.filter(lambda name: name != "default"))
def test_a_schema_of_a_namespace_is_one_the_ledger_takes(name: str) -> None:
    target = parse(store_of("postgresql://me@db/squads?sslmode=require&schema=own", name))
    assert target.schema.startswith("own__")
    assert b"sslmode=require" in target.conninfo


def test_default_is_where_everything_was_before_there_were_namespaces() -> None:
    settings = read({"SQUAD_USER": "ada"}, home="there")
    assert settings.store == "sqlite:///there/log.db"
    assert within(settings, "default") is settings


def test_a_namespace_has_a_home_a_store_keys_and_policies_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "policy").mkdir()
    variables = {"SQUAD_USER": "ada", "SQUAD_KEYS": "postgresql://db/keys"}
    base = read(variables, home=str(tmp_path))
    acme = within(base, "acme")
    assert acme.home == tmp_path / "namespaces" / "acme"
    assert acme.store == f"sqlite:///{tmp_path}/namespaces/acme/log.db"
    assert acme.environment["SQUAD_KEYS"] == "postgresql://db/keys?schema=squad__acme"
    assert (base.policy, acme.policy) == (tmp_path / "policy", None)
    assert within(acme, "other") == within(base, "other")  # from any of them
    assert within(acme, "default") is base


def test_a_policy_that_was_named_holds_in_every_namespace() -> None:
    base = read({"SQUAD_USER": "ada", "SQUAD_POLICY": "rules"}, home="there")
    assert within(base, "acme").policy == Path("rules")


def test_the_namespace_is_an_option_or_a_variable() -> None:
    assert read({"SQUAD_USER": "a", "SQUAD_NAMESPACE": "acme"}).namespace == "acme"
    assert read({"SQUAD_USER": "a", "SQUAD_NAMESPACE": "acme"}, namespace="b").namespace == "b"


def test_runs_of_two_namespaces_never_meet_in_temporal() -> None:
    address = "temporal://localhost/squad-{namespace}?queue=q"
    assert engine_of(address, "acme") == "temporal://localhost/squad-acme?queue=q"
    assert engine_of("temporal://localhost", "system") == "embedded"  # it has no runs
    with pytest.raises(NamespaceEngineError, match="acme"):
        engine_of("temporal://localhost/one", "acme")
    base = read({"SQUAD_USER": "a", "SQUAD_ENGINE": address})
    assert base.engine == "temporal://localhost/squad-default?queue=q"
    assert within(base, "acme").engine == "temporal://localhost/squad-acme?queue=q"


@pytest.mark.parametrize(
    "name", ["", "-a", "a-", "A", "a_b", "a.b", "../up", "a/b", "ä", "a" * 64, "a\n", "a b"]
)
def test_what_is_no_label_is_no_namespace(name: str) -> None:
    with pytest.raises(NamespaceNameError):
        folder_of(Path("home"), name)


def test_an_engine_chosen_later_goes_before_the_variable() -> None:
    variables = {"SQUAD_USER": "a", "SQUAD_ENGINE": "temporal://localhost/squad-{namespace}"}
    chosen = msgspec.structs.replace(read(variables), engine="embedded")
    assert within(chosen, "acme").engine == "embedded"


def test_resources_of_a_namespace_name_no_variable_of_the_process_but_its_own() -> None:
    variables = {
        "SQUAD_USER": "a",
        "OPENAI_API_KEY": "of the process",
        "SQUAD_TEMPORAL_API_KEY": "of the process",
        "SQUAD_MODELS": "off",
        "SQUAD_IN_acme_OPENAI_API_KEY": "of acme",
        "SQUAD_IN_acme_west_OPENAI_API_KEY": "of acme-west",
    }
    base = read(variables)
    acme, west, globex = (within(base, name) for name in ("acme", "acme-west", "globex"))
    assert variable(base, "OPENAI_API_KEY") == "of the process"
    assert variable(acme, "OPENAI_API_KEY") == "of acme"
    assert variable(west, "OPENAI_API_KEY") == "of acme-west"
    assert variable(globex, "OPENAI_API_KEY") is None
    assert variable(acme, "SQUAD_MODELS") == "off"  # no secret
    assert dict(acme.named) == {"OPENAI_API_KEY": "of acme", "SQUAD_MODELS": "off"}
    assert "OPENAI_API_KEY" not in globex.named
    assert dict(base.named) == variables
    for name in ("SQUAD_TEMPORAL_API_KEY", "west_OPENAI_API_KEY", "SQUAD_USER", "PATH", ""):
        assert variable(acme, name) is None


@given(names, names, st.from_regex(r"[A-Z][A-Z0-9_]*", fullmatch=True), st.text(max_size=30))
def test_no_name_reaches_the_variable_of_another_namespace(
    one: str, other: str, own: str, asked: str
) -> None:
    placed = f"SQUAD_IN_{other.replace('-', '_')}_{own}"
    settings = within(read({"SQUAD_USER": "a", placed: "secret"}), one)
    suffix = placed.removeprefix(f"SQUAD_IN_{one.replace('-', '_')}_")
    if one not in (other, "default"):
        assert variable(settings, asked) is None
        assert variable(settings, suffix) is None
        assert variable(settings, own) is None
