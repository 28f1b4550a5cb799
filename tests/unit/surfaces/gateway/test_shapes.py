"""Every action's types are said in JSON Schema; paths and places are marked."""

from __future__ import annotations

import jsonschema_rs
import msgspec
import pytest

from agentsquad.assembly.catalogue import plugins
from agentsquad.kernel.registry import Registry
from agentsquad.surfaces.gateway.operation import operation, operations
from agentsquad.surfaces.gateway.shapes import COMPONENTS, schema_of, shapes_of

REGISTRY = Registry(plugins())


@pytest.mark.parametrize("name", sorted(REGISTRY.actions))
def test_the_shape_of_an_action_is_a_schema_complete_by_itself(name: str) -> None:
    shape = schema_of(REGISTRY.actions[name])
    for schema in (shape.input, shape.output):
        jsonschema_rs.Draft202012Validator(schema)  # resolves each reference too


def test_shapes_at_once_name_every_action_and_every_reference_exists() -> None:
    shapes, components = shapes_of(REGISTRY.actions.values())
    assert set(shapes) == set(REGISTRY.actions)
    text = msgspec.json.encode([shapes, components]).decode()
    prefix = COMPONENTS.format(name="")
    named = {part.partition('"')[0] for part in text.split(f'"{prefix}')[1:]}
    assert named and named <= set(components)


def test_a_field_that_names_a_file_says_which_way_it_goes() -> None:
    marked = {
        (op.action, field.name): field.file
        for op in map(operation, REGISTRY.actions.values())
        for field in op.fields
        if field.file
    }
    assert marked["resources.apply", "file"] == "in"
    assert marked["attest.prove", "out"] == "out"
    spoken = {(name, field) for name, one in REGISTRY.actions.items() for field in one.spec.files}
    assert spoken == set(marked)  # what a spec marks is a field of its input


def test_what_cannot_be_called_from_afar_says_why() -> None:
    local = {name: one.spec.local for name, one in REGISTRY.actions.items() if one.spec.local}
    assert "engine.run" in local and "runs.start" not in local
    assert all(len(reason.split()) > 4 for reason in local.values())


def test_what_is_typed_and_what_is_read_have_the_same_names() -> None:
    for offered in operations(REGISTRY):
        shape = schema_of(REGISTRY.action(offered.action)).input
        names = {one.name for one in offered.fields}
        assert names == set(shape.get("properties", {})), offered.action
