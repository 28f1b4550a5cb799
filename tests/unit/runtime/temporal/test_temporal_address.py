"""What SQUAD_ENGINE may say."""

from __future__ import annotations

import pytest

from agentsquad.runtime.temporal.address import Address, parse
from agentsquad.runtime.temporal.contract import AddressError
from agentsquad.runtime.temporal.plugin import embedded


def test_an_address_names_server_namespace_and_queue():
    assert parse("temporal://localhost") == Address(host="localhost")
    found = parse("temporal://[::1]:7000/a%20b?queue=q&lost_after_ms=900&history_max=100")
    assert found.target == "[::1]:7000"
    assert (found.namespace, found.queue) == ("a b", "q")
    assert (found.lost_after_ms, found.history_max) == (900, 100)


@pytest.mark.parametrize(
    "text",
    [
        "temporal://",
        "http://localhost",
        "temporal://localhost:port",
        "temporal://localhost/a/b",
        "temporal://localhost?queue=",
        "temporal://localhost?color=red",
        "temporal://localhost?lost_after_ms=-1",
        "temporal://localhost?lost_after_ms=1",
        "temporal://localhost?history_max=1000000",
        "temporal://me:secret@localhost",
    ],
)
def test_what_is_no_address_is_refused_with_an_example(text: str):
    with pytest.raises(AddressError) as caught:
        parse(text)
    assert "temporal://localhost:7233" in str(caught.value.hint)
    assert "secret" not in str(caught.value)


def test_runs_are_driven_here_or_by_temporal_and_by_nothing_else():
    assert embedded("embedded")
    assert not embedded("temporal://anything")
    with pytest.raises(AddressError, match="'postgres://x' names no engine"):
        embedded("postgres://x")
