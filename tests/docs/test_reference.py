"""Everything users meet is documented: actions and their fields, events,
settings, errors; and the pages written from code are current.
"""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path
from types import ModuleType

import msgspec
import pytest

from agentsquad.kernel.errors import InvalidError

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference", ROOT / "tools" / "reference.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_action_says_what_it_does_and_what_each_input_means(reference: ModuleType) -> None:
    bare = []
    actions = [action for plugin in reference.plugins() for action in plugin.actions]
    for action in actions:
        if not action.spec.summary.endswith((".", "?")):
            bare.append(f"{action.name}: the summary is not a sentence")
        if not (isinstance(action.spec.input, type) and action.spec.input is not type(None)):
            continue
        schema = msgspec.json.schema(action.spec.input)
        body = schema.get("$defs", {}).get(schema.get("$ref", "").rpartition("/")[2], schema)
        bare += [
            f"{action.name}: describe {name!r}"
            for name, part in body.get("properties", {}).items()
            if not part.get("description")
        ]
    assert bare == []
    assert len(actions) > 10


def test_events_and_settings_are_described_and_pages_are_current(reference: ModuleType) -> None:
    texts, faults = reference.pages()
    assert faults == []
    for name, text in texts.items():
        assert (reference.PAGES / name).read_text() == text, f"run make docs: {name} is stale"


def test_what_is_not_described_or_gone_is_named(
    reference: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reference, "PAGES", tmp_path)
    (tmp_path / "events.toml").write_text('"order.lost" = "Gone."\n"run.started" = "Began."\n')
    source = 'code = "step.failed"\nemit("run.started")\nemit("run.ended", code="x.failed")\n'
    found = reference.found_in({"runtime/engine/shell.py": ast.parse(source)}, reference.EVENT)
    assert found == {"run.ended": ["runtime.engine"], "run.started": ["runtime.engine"]}
    text, faults = reference.described("Events", "Facts.", found, "events.toml")
    assert faults == [
        "docs/reference/events.toml: describe 'run.ended'",
        "docs/reference/events.toml: 'order.lost' is gone",
    ]
    assert "| `run.started` | Began. | `runtime.engine` |" in text


def test_codes_given_where_an_error_is_raised_are_found(reference: ModuleType) -> None:
    source = 'raise InvalidError(f"no {x!r} here", code="a.b")\nraise Other("y")\n'
    assert reference.raised(ast.parse(source)) == [("InvalidError", "a.b", "no … here")]


def test_no_page_depends_on_what_a_process_declared_or_lacks(reference: ModuleType) -> None:
    class StrangeError(InvalidError):
        code = "strange.error"

    source = "class LateError(SquadError):\n    pass\nclass LaterError(LateError):\n    pass\n"
    assert reference.error_classes({"a.py": ast.parse("class Order:\n    pass\n")}) == []
    assert StrangeError.code not in reference.errors_page({})
    with pytest.raises(SystemExit, match=r"agentsquad\.late declares errors and needs"):
        reference.error_classes({"late.py": ast.parse(source)})
