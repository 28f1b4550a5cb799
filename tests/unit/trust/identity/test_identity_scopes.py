"""Which scopes a credential may be given."""

from __future__ import annotations

import pytest

from agentsquad.trust.identity.contract import ScopeError
from agentsquad.trust.identity.credential import narrowed, scopes_of


def test_actions_families_and_effects_are_scopes() -> None:
    given = ("runs.*", "resources.get", "read", "write", "*")
    assert scopes_of(given) == tuple(sorted(given))
    assert scopes_of(()) == ("*",)


@pytest.mark.parametrize("scope", ["", "runs", "reads", "READ", "runs.**", "*.list", "a b.c"])
def test_anything_else_is_none(scope: str) -> None:
    with pytest.raises(ScopeError, match="not a scope"):
        scopes_of((scope,))


def test_an_effect_is_not_widened_to_actions() -> None:
    assert narrowed(("read",), ("read", "runs.list", "write", "*")) == ("read",)
    assert narrowed(("*",), ("read", "write")) == ("read", "write")
    assert narrowed(("runs.*",), ("read",)) == ()
