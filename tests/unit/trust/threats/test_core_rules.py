"""The engine of attack rules with two rules of our own: what it is told of a
request, what it says, and what it refuses to load."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentsquad.trust.threats.contract import Hit, ProtectionError
from agentsquad.trust.threats.plugin import inspector, open_shield, places

RULES = r"""
SecRule ARGS|ARGS_NAMES|REQUEST_FILENAME "@contains magpie" \
    "id:942001,phase:2,pass,log,t:none,t:urlDecodeUni,t:lowercase,severity:'CRITICAL',msg:'A bird',\
    logdata:'%{MATCHED_VAR}'"
SecRule REQUEST_HEADERS:User-Agent "@contains robin" \
    "id:942002,phase:1,pass,log,severity:'WARNING',msg:'Another'"
SecRule REQUEST_HEADERS:Authorization "@contains secret" \
    "id:942003,phase:1,pass,log,severity:'CRITICAL',msg:'A credential'"
"""


def folder(tmp_path: Path, rules: str = RULES) -> str:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "REQUEST-942-TEST.conf").write_text(rules)
    return str(tmp_path)


def hit(path: str = "/v1/runs", **fields: object) -> Hit:
    return Hit(surface="rest", method="GET", path=path, **fields)  # type: ignore[arg-type]


def test_rules_are_found_in_paths_queries_headers_and_json(tmp_path: Path) -> None:
    rules = inspector({"SQUAD_WAF_RULES": folder(tmp_path)})
    assert rules is not None
    assert rules.about.endswith("3 rules, level 1")
    body = b'{"a": {"b": ["x", "MAGPIE"]}}'
    kind = {"content-type": "application/json", "content-length": str(len(body))}

    def found(one: Hit) -> list[tuple[str, int]]:
        return [(f.rule, f.score) for f in rules.inspect(one)]

    assert found(hit()) == []
    assert found(hit("/magpie/x y")) == [("942001", 5)]
    assert found(hit(query="a=mag%70ie")) == [("942001", 5)]
    assert found(hit(headers={"user-agent": "robin"})) == [("942002", 3)]
    assert found(hit(headers=kind, body=body)) == [("942001", 5)]
    call = Hit(surface="grpc", method="CALL", path="shop.pay", body=body)
    assert found(call) == [("942001", 5)]
    assert found(hit(headers={"authorization": "Bearer secret"})) == []
    assert found(hit()) == []


def test_bytes_that_are_no_text_hide_nothing(tmp_path: Path) -> None:
    rules = inspector({"SQUAD_WAF_RULES": folder(tmp_path)})
    assert rules is not None
    for query in ("a=magpie%ff%fe", "%8d=1&b=magpie%b4"):
        assert [one.rule for one in rules.inspect(hit(query=query))] == ["942001"]


def test_a_folder_without_rules_or_with_broken_ones_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProtectionError, match="no rules"):
        inspector({"SQUAD_WAF_RULES": str(tmp_path)})
    with pytest.raises(ProtectionError, match="not understood"):
        inspector({"SQUAD_WAF_RULES": folder(tmp_path, "SecRule nonsense")})
    with pytest.raises(ProtectionError, match="paranoia"):
        inspector({"SQUAD_WAF_RULES": str(tmp_path), "SQUAD_WAF_PARANOIA": "9"})


def test_without_settings_there_are_neither_rules_nor_places(tmp_path: Path) -> None:
    assert inspector({}) is None
    assert places({}) is None
    (tmp_path / "x.mmdb").write_bytes(b"no database")
    with pytest.raises(ProtectionError, match="no database"):
        places({"SQUAD_GEO": str(tmp_path / "x.mmdb")})
    with pytest.raises(ProtectionError, match="no database"):
        places({"SQUAD_GEO": str(tmp_path / "none.mmdb")})


def test_the_shield_of_an_installation_is_made_of_its_settings(tmp_path: Path) -> None:
    class Settings:
        environment = {"SQUAD_WAF_RULES": folder(tmp_path)}

    shield = open_shield(Settings())
    assert shield.inspector is not None
    verdict = shield.outer(hit("/magpie", headers={"user-agent": "x"}))
    assert (verdict.answer, verdict.rules) == ("log", ("crs.942001",))
