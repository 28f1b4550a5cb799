"""Every layout takes whatever its action may return: the output types are the
source of the samples, so that a room that changes one is heard of here."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec import inspect as shapes

from agentsquad.surfaces.cli.layout import Page
from agentsquad.surfaces.cli.views import VIEWS, view

ANY = {"payee": "ACME", "amount": {"micros": 1_500_000, "currency": "USD"}, "deep": [{"x": {}}]}


def sample(shape: shapes.Type, *, full: bool, depth: int = 0) -> Any:
    """Return a value of a type: as much as it may hold, or as little."""
    more = full and depth < 6

    def inner(of: shapes.Type) -> Any:
        return sample(of, full=full, depth=depth + 1)

    match shape:
        case shapes.StructType(cls=cls, fields=fields):
            needed = [f for f in fields if f.required or more]
            return cls(**{field.name: inner(field.type) for field in needed})
        case shapes.IntType():
            return 7
        case shapes.FloatType():
            return 7.5
        case shapes.BoolType():
            return full
        case shapes.StrType():
            return "2026-11-23T12:00:00.123Z" if full else "x"
        case shapes.LiteralType(values=values):
            return values[-1 if full else 0]
        case shapes.EnumType(cls=cls):
            return list(cls)[-1 if full else 0]
        case shapes.DictType(key_type=key, value_type=value):
            return {inner(key) or "k": inner(value)} if more else {}
        case shapes.ListType(item_type=item) | shapes.CollectionType(item_type=item):
            return [inner(item), inner(item)] if more else []
        case shapes.VarTupleType(item_type=item):
            return (inner(item), inner(item)) if more else ()
        case shapes.UnionType(types=types):
            nothing = any(isinstance(one, shapes.NoneType) for one in types)
            return inner(types[0]) if more or not nothing else None
        case shapes.NoneType():
            return None
        case _:
            return ANY if more else None


@pytest.mark.slow
@pytest.mark.parametrize("columns", [60, 80, 100])
@pytest.mark.parametrize("full", [True, False], ids=["full", "empty"])
@pytest.mark.parametrize("action", sorted(VIEWS))
def test_a_layout_takes_what_its_action_may_return(
    shop: Any, action: str, full: bool, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    output = shop.registry().action(action).spec.output
    if output is Any:  # resources.get: a resource, or a list of them
        values: list[Any] = [{"kind": "Agent", "spec": {}}, {"items": []}]
        values.append({"items": [{"kind": "Agent", "metadata": {"name": "x"}, "spec": {}}]})
    else:
        values = [sample(shapes.type_info(output), full=full)]
    for value in values:
        page = Page()
        VIEWS[action](msgspec.to_builtins(value, str_keys=True), page)
        text = page.text()
        assert text.strip(), "a page says something"
        assert '{"' not in text
        assert "None" not in text


@pytest.mark.slow
@pytest.mark.parametrize("full", [True, False], ids=["full", "empty"])
def test_any_other_output_has_a_page_too(shop: Any, full: bool) -> None:
    count = 0
    for op in shop.operations():
        output = shop.registry().action(op.action).spec.output
        if op.action in VIEWS or output is type(None) or output is Any:
            continue
        page = Page()
        view(
            op.action,
            msgspec.to_builtins(sample(shapes.type_info(output), full=full), str_keys=True),
            page,
        )
        assert '{"' not in page.text()
        count += 1
    assert count > 5
