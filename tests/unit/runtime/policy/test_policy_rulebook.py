"""What may be loaded, what replaces what, and what the revision says."""

from __future__ import annotations

import pytest

from agentsquad.kernel.errors import SquadError
from agentsquad.runtime.policy.contract import PolicyDataError, PolicyFile, PolicyInvalidError
from agentsquad.runtime.policy.plugin import compiler, policy_folder
from agentsquad.runtime.policy.rulebook import Rulebook, prefixes


def rego(text: str, name: str = "p.rego", layer: int = 2) -> PolicyFile:
    return PolicyFile(name=name, text=text, origin=f"layer {layer}", layer=layer)


def data(text: str, name: str = "d.json", layer: int = 2) -> PolicyFile:
    return PolicyFile(name=name, text=text, origin=f"layer {layer}", layer=layer)


def refused(*files: PolicyFile) -> SquadError:
    with pytest.raises(SquadError) as caught:
        compiler(None).compile(files)
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize(
    ("text", "line", "column", "said", "hint"),
    [
        ('package p\n\ndeny[m] { m := "a" }\n', 3, 9, "`if` keyword", "name if"),
        ("package p\n\nr if {\n\tinput.a ==\n}\n", 5, 1, "expecting expression", "missing"),
        ("package p\nr if input.a > nothing\n", 2, 16, "unsafe", "some"),
        ("package p\nr if { input.a; contians(input.b, 1) }\n", 2, 17, "contians", "contains"),
        ("package p\nr if time.now_ns() > 1\n", 2, 6, "time.now_ns is not allowed", "now_ns"),
        ('package p\nr := http.send({"url": "x"})\n', 2, 6, "http.send", "facts"),
        ("package p\nr if s\ns if r\n", 2, 1, "recursion", "depend on themselves"),
        ("package p\nr := 1\nr := 2\n", 3, 1, "conflicts", "else"),
        ("package p\ndeny if input.x\n", 2, 1, "must be a set", "deny contains"),
        ("package p\nallow := true\n", 2, 1, "must be a set", "allow contains"),
        ("package p\ndefault allow := false\n", 2, 1, "must be a set", "allow contains"),
        ('package p\nobligations["a"] := 1\n', 2, 1, "must be a set", "obligations contains"),
        ('package p\nallow contains {"clause": "p.a"}\n', 2, 1, "names no `actions`", "actions :="),
        ('package p\nactions := "a"\ndeny contains 1\n', 2, 1, "constant set", "prefixes"),
        ('package p\nactions := {"*.send"}\ndeny contains 1\n', 2, 1, "constant set", "prefixes"),
        ("package p\nactions := {input.a}\ndeny contains 1\n", 2, 1, "constant set", "prefixes"),
        ("package squad\nr := 1\n", 1, 1, "belongs to the product", "name the package"),
        ("package squad.mounted\nr := 1\n", 1, 1, "belongs to the product", "name the package"),
        ("r := 1\n", 1, 1, "package", "docs/reference/policy.md"),
    ],
)
def test_what_is_wrong_is_said_with_place_and_cure(
    text: str, line: int, column: int, said: str, hint: str
) -> None:
    error = refused(rego(text))
    assert isinstance(error, PolicyInvalidError)
    first = error.problems[0]
    assert said in first.message
    assert hint in first.hint
    assert (first.file, first.line) == ("p.rego", line)
    assert abs(first.column - column) <= 12  # the engine's idea of a column is its own
    assert error.details["problems"][0]["line"] == line
    assert "backtrace" not in str(error)


def test_every_broken_file_is_reported_at_once() -> None:
    error = refused(rego("package a\nx {", "a.rego"), rego("package b\ny {", "b.rego"))
    assert isinstance(error, PolicyInvalidError)
    assert [problem.file for problem in error.problems] == ["a.rego", "b.rego"]
    assert "(and 1 more)" in error.message


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ('{"a": 1,\n"a": 2}', 1, "twice"),
        ('{"a":\n 1,}', 2, "not JSON"),
        ("[1]", 1, "not a JSON object"),
        ('{"a": NaN}', 1, "NaN"),
        ('{"squad": {"decision": {"allow": true}}}', 1, "belongs to the product"),
    ],
)
def test_broken_data_is_refused(text: str, line: int, said: str) -> None:
    error = refused(data(text))
    assert isinstance(error, PolicyInvalidError)
    assert said in error.message
    assert error.problems[0].line == line


def test_data_may_not_stand_in_for_a_rule() -> None:
    error = refused(rego("package p.q\nr := 1\n"), data('{"p": {"q": {"r": 2}}}'))
    assert isinstance(error, PolicyDataError)
    assert "data.p.q.r" in error.message
    beside = compiler(None).compile([rego("package p.q\nr := 1\n"), data('{"p": {"q": {"s": 2}}}')])
    assert beside.query("data.p.q", {}) == {"r": 1, "s": 2}


def test_within_a_layer_a_value_is_said_once() -> None:
    error = refused(data('{"a": {"b": 1}}', "x.json"), data('{"a": {"b": 2}}', "y.json"))
    assert isinstance(error, PolicyDataError)
    assert "data.a.b" in error.message
    assert "x.json" in error.message
    same = [data('{"a": {"b": 1}}', "x.json"), data('{"a": {"b": 1, "c": 2}}', "y.json")]
    assert Rulebook(same).data == {"a": {"b": 1, "c": 2}}
    assert isinstance(refused(data('{"a": 1}', "x.json"), data('{"a": {"b": 1}}', "y.json")),
                      PolicyDataError)  # fmt: skip


def test_a_higher_layer_overrides_single_values() -> None:
    book = Rulebook([
        data('{"l": {"auto": 900, "list": [1, 2]}}', "p/l.json", layer=1),
        data('{"l": {"list": [3]}}', "p/l.json", layer=2),
        data('{"l": {"own": {"x": 1}}}', "z.json", layer=2),
    ])  # fmt: skip
    assert book.data == {"l": {"auto": 900, "list": [3], "own": {"x": 1}}}


def test_a_rule_file_of_a_higher_layer_replaces_the_one_of_the_same_name() -> None:
    files = [rego("package p\nr := 1\n", layer=1), rego("package p\nr := 2\n", layer=2)]
    policy = compiler(None).compile(files)
    assert policy.query("data.p.r", {}) == 2
    assert [file.layer for file in policy.files] == [0, 2]
    error = refused(rego("package p\n", layer=1), rego("package q\n", layer=1))
    assert isinstance(error, PolicyDataError)


def test_data_json_in_a_folder_is_mounted_below_that_folder() -> None:
    book = Rulebook([data('{"max": 1}', "p2p/limits/data.json"), data('{"x": 1}', "p2p/x.json")])
    assert book.data == {"p2p": {"limits": {"max": 1}}, "x": 1}


def test_the_revision_changes_with_every_rule_and_value_and_with_nothing_else() -> None:
    rules, values = rego("package p\nr := 1\n"), data('{"a": 1}')
    revision = Rulebook([rules, values]).revision
    assert Rulebook([values, rules]).revision == revision
    assert revision.startswith("sha256:")
    others = [
        [rules],
        [rego("package p\nr := 2\n"), values],
        [rules, data('{"a": 2}')],
        [rego(rules.text, "q.rego"), values],
        [rules, values, data("{}", "e.json")],
    ]
    assert len({revision, *(Rulebook(other).revision for other in others)}) == len(others) + 1


def test_a_policy_is_compiled_once_per_revision() -> None:
    own = compiler(None)
    first = own.compile([rego("package p\nr := 1\n")])
    assert own.compile([rego("package p\nr := 1\n")]) is first
    assert own.compile([rego("package p\nr := 2\n")]) is not first


def test_rules_are_listed_with_kind_place_and_clauses() -> None:
    text = (
        'package p\nactions := {"a.b"}\ndeny contains {"clause": "p.x", "reason": "r"} if input.x\n'
        "f(x) := x\no[k] := 1 if some k in input.ks\ndefault d := 1\n"
    )
    policy = compiler(None).compile([rego(text)])
    mine = [rule for rule in policy.rules if rule.package == "p"]
    assert [(rule.name, rule.kind, rule.line) for rule in mine] == [
        ("actions", "value", 2),
        ("deny", "set", 3),
        ("f", "function", 4),
        ("o", "object", 5),
        ("d", "default", 6),
    ]
    assert mine[1].clauses == ("p.x",)
    (package,) = policy.packages
    assert (package.name, package.actions, package.parts) == ("p", ("a.b",), ("deny",))


def test_functions_may_be_called_through_imports() -> None:
    lib = rego("package lib.money\ncents(x) := x / 10000\n", "lib.rego")
    use = "package p\nimport data.lib.money\nimport data.lib.money as m\n"
    use += "r := [money.cents(20000), m.cents(30000), data.lib.money.cents(40000)]\n"
    assert compiler(None).compile([lib, rego(use)]).query("data.p.r", {}) == [2, 3, 4]
    typo = rego(use.replace("m.cents", "m.cent"))
    assert "did you mean 'data.lib.money.cents'" in (refused(lib, typo).hint or "")


def test_prefixes_keep_whole_names_apart_from_longer_ones() -> None:
    assert prefixes(None) == ("",)
    assert prefixes(("a.b", "c.*", "*")) == ("a.b ", "c.", "")


def test_a_folder_is_read_without_its_tests_and_hidden_files(tmp_path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "p").mkdir()
    (tmp_path / ".git").mkdir()
    for name in ("p/a.rego", "p/a_test.rego", "b.json", ".git/c.rego", "README.md"):
        (tmp_path / name).write_text("{}")
    folder = policy_folder(None)
    assert [file.name for file in folder.read([str(tmp_path)], tests=False)] == [
        "b.json",
        "p/a.rego",
    ]
    assert len(folder.read([str(tmp_path)], tests=True)) == 3
    (tmp_path / "limits.yaml").write_text("a: 1")
    with pytest.raises(PolicyInvalidError) as caught:
        folder.read([str(tmp_path)], tests=False)
    assert "*.json" in (caught.value.hint or "")
    with pytest.raises(SquadError) as missing:
        folder.read([str(tmp_path / "none.rego")], tests=False)
    assert missing.value.code == "policy.file"
