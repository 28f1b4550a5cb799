"""The description of REST: whole, valid, and the same addresses as last
time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
import yaml

from agentsquad.surfaces.rest.openapi import document, encoded

pytestmark = pytest.mark.slow


@pytest.fixture
def described(desk: Any) -> dict[str, Any]:
    found: dict[str, Any] = document(desk.gateway, desk.squad.registry, desk.rest._options)
    return found


def operations(found: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in found["paths"].items():
        for method, told in item.items():
            yield path, method, told


def test_addresses_are_as_they_were(described: dict[str, Any], golden: Any) -> None:
    """Those that are REST's own; the actions have their own test."""
    lines = []
    for path, method, told in operations(described):
        if path.startswith("/v1/actions/"):
            continue
        names = [
            one.get("name") or one["$ref"].rpartition("/")[2] for one in told.get("parameters", ())
        ]
        statuses = [one for one in told["responses"] if one < "400"]
        lines.append(f"{method.upper():6} {path} ({', '.join(names)}) {' '.join(statuses)}\n")
    golden("openapi", "".join(lines))


def test_every_reference_leads_somewhere(described: dict[str, Any]) -> None:
    def references(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            if isinstance(value.get("$ref"), str):
                yield value["$ref"]
            for inner in value.values():
                yield from references(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from references(inner)

    for reference in set(references(described)):
        at: Any = described
        for step in reference.removeprefix("#/").split("/"):
            at = at[step]
        assert at, reference


def test_every_example_fits_its_schema(described: dict[str, Any]) -> None:
    wrong = []
    for path, method, told in operations(described):
        content = told.get("requestBody", {}).get("content", {}).get("application/json", {})
        if "example" not in content:
            continue
        schema = {**content["schema"], "components": described["components"]}
        validator = jsonschema_rs.Draft202012Validator(schema)
        wrong += [
            f"{method} {path}: {error.message}"
            for error in validator.iter_errors(content["example"])
        ]
    assert wrong == []


def test_names_of_operations_are_their_own(described: dict[str, Any]) -> None:
    names = [told["operationId"] for _, _, told in operations(described)]
    assert len(names) == len(set(names))


def test_every_address_described_is_served_and_the_other_way_round(
    described: dict[str, Any], desk: Any
) -> None:
    served = {path: endpoint.methods for path, endpoint in desk.rest.addresses.items()}
    for path, method, _ in operations(described):
        place = "/v1/actions/{action}" if path.startswith("/v1/actions/") else path
        assert method.upper() in served[place], path
    told = set(described["paths"]) | {"/v1/actions/{action}"}
    own = {path for path in served if path.startswith("/v1/") and "{ns}" not in path}
    assert own <= told


def test_it_is_the_same_bytes_each_time_and_the_same_in_yaml(
    described: dict[str, Any], desk: Any
) -> None:
    again = document(desk.gateway, desk.squad.registry, desk.rest._options)
    assert encoded(described) == encoded(again)


async def test_it_is_given_in_both_forms_to_anybody(desk: Any) -> None:
    async with desk.client(None) as client:
        as_json = await client.get("/openapi.json")
        as_yaml = await client.get("/openapi.yaml")
        page = await client.get("/docs")
        script = await client.get("/docs/docs.js")
    assert as_json.json()["openapi"] == "3.1.0"
    assert yaml.load(as_yaml.text, Loader=yaml.CSafeLoader) == as_json.json()
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert "unsafe" not in page.headers["content-security-policy"]
    assert "<script>" not in page.text and "onclick" not in page.text and "http" not in page.text
    assert "innerHTML" not in script.text and "eval(" not in script.text
