from __future__ import annotations

from typing import Any

import pytest

from agentsquad.kernel.manifest import ManifestError, load, path_text, read
from agentsquad.kernel.resource import Kind

THING = Kind(
    name="Thing",
    summary="A thing.",
    block="Settings",
    schema={
        "type": "object",
        "additionalProperties": False,
        "required": ["size"],
        "properties": {
            "size": {"type": "string"},
            "mode": {"enum": ["formal", "casual"]},
            "count": {"type": "integer", "minimum": 1},
            "parts": {
                "type": "array",
                "items": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {"dependsOn": {"type": "array"}},
                },
            },
        },
    },
    check=lambda spec: [("/count", "an even number", "add one")] if spec.get("count") == 3 else [],
)
KINDS = {"Thing": THING}
HEAD = "apiVersion: agentsquad.dev/v1\nkind: Thing\nmetadata: {name: a}\n"


def value(text: str) -> Any:
    (document,) = read(text)
    return document.value


def errors(text: str) -> list[dict[str, Any]]:
    with pytest.raises(ManifestError) as caught:
        load(text, file="f.yaml", kinds=KINDS)
    assert caught.value.code == "manifest.invalid"
    return list(caught.value.details["errors"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("on", "on"),
        ("no", "no"),
        ("y", "y"),
        ("Norway: NO", {"Norway": "NO"}),
        ("12:30:45", "12:30:45"),
        ("2026-01-01", "2026-01-01"),
        ("2026-11-23T12:00:00Z", "2026-11-23T12:00:00Z"),
        ("0 */6 * * *", "0 */6 * * *"),
        ("0123", "0123"),
        ("0x1F", "0x1F"),
        ("1_000", "1_000"),
        ("1e3", 1000.0),
        ("-1.50", -1.5),
        ("+7", 7),
        (".inf", ".inf"),
        ("true", True),
        ("False", False),
        ("'true'", "true"),
        ("{a: ~, b: null, c: }", {"a": None, "b": None, "c": None}),
        ("on: 1\ntrue: 2\n3: 4", {"on": 1, "true": 2, "3": 4}),
        ("!!str 12", "12"),
        ("!!float 1", 1),
        ("a: &x [1]\nb: *x", {"a": [1], "b": [1]}),
        ("a: |\n  two\n  lines\n", {"a": "two\nlines\n"}),
        ('{\n\t"a": "\\ud83d\\ude00\\/\\\\ud83d"}', {"a": "\U0001f600/\\ud83d"}),
        ("=", "="),
    ],
)
def test_values_are_those_of_json_not_the_guesses_of_yaml_1_1(text: str, expected: Any) -> None:
    assert value(text) == expected
    assert type(value(text)) is type(expected)


@pytest.mark.parametrize(
    ("text", "line", "found"),
    [
        ("a: 1\nb: 2\na: 3", 3, "'a' again (first in line 1)"),
        ('{"a": {"b": 1,\n"b": 2}}', 2, "'b' again"),
        ("a: [1,\nb: {", 3, ""),
        ("a: !!python/object:os.system x", 1, "the tag tag:yaml.org,2002:python/object"),
        ("a: !!int x", 1, "'x'"),
        ("? [a]\n: b", 1, "something else"),
        ("<<: {a: 1}", 1, "a merge key"),
        ("x:\n  &a [*a]", 2, "*a"),
        ("a: *nowhere", 1, ""),
        ('a: "\\ud800"', 1, ""),
        ('{"a": "\\udc00"}', 1, ""),
        ("a: 1e999", 1, "1e999"),
        ("a: \x00", 1, ""),
        ("[" * 100_000, 1, "more"),
        (
            "a: &a [1,1,1,1,1,1,1,1,1,1]\n"
            + "".join(
                f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 10)}]\n"
                for i in range(9)
            ),
            6,
            "more",
        ),
    ],
    ids=lambda v: repr(v)[:30],
)
def test_what_is_not_plain_yaml_is_refused_with_its_line(text: str, line: int, found: str) -> None:
    with pytest.raises(ManifestError) as caught:
        read(text, "f.yaml")
    (error,) = caught.value.details["errors"]
    assert error["line"] == line
    assert found in error["found"]


def test_several_documents_are_read_with_their_lines_and_empty_ones_skipped() -> None:
    text = f"{HEAD}spec: {{size: a}}\n---\n---\n{HEAD}spec:\n  size: b\n"
    first, second = read(text)
    assert (first.line, second.line) == (1, 7)
    assert second.line_of("/spec/size") == 11
    assert second.line_of("/spec/size/deeper") == 11
    resources = load(text, file="f", kinds=KINDS)
    assert [resource.spec["size"] for resource in resources] == ["a", "b"]


def test_every_error_of_every_document_is_told_in_order_of_lines() -> None:
    text = (
        f"{HEAD}spec:\n  sise: a\n  mode: formall\n  count: 0\n  parts:\n  - dependOn: []\n"
        f"---\n{HEAD}spec: {{size: 1.10}}\n"
    )
    told = [(e["line"], e["path"], e["fix"]) for e in errors(text)]
    assert told == [
        (5, "spec.sise", "did you mean 'size'?"),
        (6, "spec.mode", "did you mean 'formal'?"),
        (7, "spec.count", "give a number of at least 1"),
        (9, "spec.parts[0].dependOn", "did you mean 'dependsOn'?"),
        (14, "spec.size", 'put it in quotes: "1.10"'),
    ]


def test_the_message_is_the_first_error_for_people_and_the_hint_its_fix() -> None:
    with pytest.raises(ManifestError) as caught:
        load(f"{HEAD}spec: {{sise: a, xxxx: b}}", file="f.yaml", kinds=KINDS)
    assert caught.value.message == (
        "f.yaml:4: spec.sise: expected one of size, mode, count, parts, found the unknown property"
        " 'sise' (and 1 more)"
    )
    assert caught.value.hint == "did you mean 'size'?"


@pytest.mark.parametrize(
    ("text", "path", "fix"),
    [
        ("kind: Thing", "", 'add apiVersion: "agentsquad.dev/v1"'),
        (HEAD.replace("/v1", "/v2") + "spec: {size: a}", "apiVersion", 'write "agentsquad.dev/v1"'),
        (HEAD.replace("Thing", "Thingy") + "spec: {}", "kind", "did you mean 'Thing'?"),
        (HEAD.replace("Thing", "thing") + "spec: {}", "kind", "did you mean 'Thing'?"),
        (HEAD.replace("name: a", "name: A_b") + "spec: {size: a}", "metadata.name", None),
        (HEAD.replace("name: a", "nam: a") + "spec: {size: a}", "metadata.nam", None),
        (HEAD + "spec: []", "spec", "give an object"),
        (HEAD + "spec: {size: a, count: 3}", "spec.count", "add one"),
        ("[1]", "", None),
        ("", "", None),
    ],
)
def test_the_envelope_is_checked_too(text: str, path: str, fix: str | None) -> None:
    first = errors(text)[0]
    assert first["path"] == path
    assert fix is None or first["fix"] == fix


def test_a_spec_may_stand_under_its_other_name() -> None:
    for text in ("Settings: {size: a}", "spec: {Settings: {size: a}}", "spec: {size: a}"):
        assert load(HEAD + text, file="f", kinds=KINDS)[0].spec == {"size": "a"}
    assert errors(HEAD + "spec:\n  Settings:\n    sise: a")[0]["path"] == "spec.Settings.sise"
    both = errors(HEAD + "spec: {size: a}\nSettings: {size: a}")
    assert both[0]["path"] == "Settings"


def test_a_status_is_accepted_and_left_out() -> None:
    (resource,) = load(HEAD + "spec: {size: a}\nstatus: {x: 1}", file="f", kinds=KINDS)
    assert resource.status == {}


def test_paths_are_written_as_people_write_them() -> None:
    assert path_text("/spec/nodes/1/dependsOn/0") == "spec.nodes[1].dependsOn[0]"
    assert path_text("/metadata/labels/a.b~1c") == 'metadata.labels["a.b/c"]'
    assert path_text("") == ""


def test_a_printed_list_is_read_as_its_items() -> None:
    head = '{"apiVersion": "agentsquad.dev/v1", "kind": "Thing", "metadata": {"name": '
    text = f'{{"items": [\n{head}"a"}}, "spec": {{"size": "x"}}}},\n'
    text += f'{head}"b"}}, "spec": {{"sise": "y"}}}}]}}'
    (error,) = errors(text)
    assert (error["line"], error["path"]) == (3, "spec.sise")
    good = load(text.replace("sise", "size"), file="f", kinds=KINDS)
    assert [resource.metadata.name for resource in good] == ["a", "b"]
