"""Resources of a namespace send off no variable of the process, whichever kind
of resource names it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agentsquad.assembly.resources import Databases, Variables
from agentsquad.assembly.settings import read, within
from agentsquad.integrations.connectors.tools.contract import (
    Server,
    ToolUnreachableError,
)
from agentsquad.integrations.connectors.tools.plugin import peers

VARIABLES = {
    "SQUAD_USER": "ada",
    "OPENAI_API_KEY": "of the process",
    "SQUAD_IN_acme_OPENAI_API_KEY": "of acme",
}


@pytest.mark.parametrize(
    ("namespace", "expected"),
    [("default", "of the process"), ("acme", "of acme"), ("globex", None)],
)
async def test_each_kind_that_names_a_variable_gets_that_of_its_namespace(
    namespace: str, expected: str | None, tmp_path: Path
) -> None:
    settings = within(read(VARIABLES, home=str(tmp_path)), namespace)
    store: Any = None
    assert Variables(settings).get("OPENAI_API_KEY") == expected  # a ModelProvider
    assert Databases(store, settings).variable("OPENAI_API_KEY") == expected

    sent: list[Any] = []

    async def web(server: Server, headers: Any) -> Any:
        sent.append(dict(headers))

    reach = peers(settings)
    reach._web = web
    tools = Server(url="https://x.example", headers={"Authorization": "${OPENAI_API_KEY}"})
    if expected is None:
        with pytest.raises(ToolUnreachableError, match="is not set"):
            await reach.connect("x", tools)
    else:
        await reach.connect("x", tools)
    assert sent == ([] if expected is None else [{"Authorization": expected}])
