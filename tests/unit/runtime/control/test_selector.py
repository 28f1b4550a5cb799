"""Selectors as in Kubernetes, and fields that are shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentsquad.runtime.control.contract import SelectorError
from agentsquad.runtime.control.selector import Selector, shown

LABELS = {"env": "prod", "tier": "web", "gpu": ""}


def fits(text: str, labels: dict[str, str] = LABELS) -> bool:
    return Selector(text).fits({"metadata": {"name": "x", "labels": labels}})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", True),
        ("  ", True),
        ("env=prod", True),
        ("env==prod", True),
        ("env = prod , tier=web", True),
        ("env=dev", False),
        ("env!=dev", True),
        ("team!=red", True),  # a label that is not there is not red
        ("team=", False),
        ("gpu=", True),
        ("tier in (web, api)", True),
        ("tier in (api)", False),
        ("tier notin (api,db)", True),
        ("team notin (red)", True),
        ("team in (red)", False),
        ("gpu", True),
        ("!gpu", False),
        ("!beta", True),
        ("env=prod,!beta,tier in (web),team!=red", True),
        ("env=prod,beta", False),
        ("app.kubernetes.io/name=x", False),
    ],
)
def test_a_selector_means_all_of_its_terms(text: str, expected: bool) -> None:
    assert fits(text) is expected


@pytest.mark.parametrize(
    "text",
    ["=x", "env=prod,", ",", "a b", "tier in web", "tier in (a", "in (a)", "!", "a=b=c", "a>1",
     "x" * 5_000, ",".join("a" * 1 for _ in range(40)), "a in (b c)"],
)  # fmt: skip
def test_what_is_no_selector_is_said_plainly(text: str) -> None:
    with pytest.raises(SelectorError):
        Selector(text)


def test_a_resource_without_labels_has_none() -> None:
    assert Selector("!env").fits({"metadata": {"name": "x"}})


@given(st.text(max_size=200))
def test_no_text_breaks_it(text: str) -> None:
    try:
        fits(text)
    except SelectorError as error:
        assert error.hint


labels = st.dictionaries(st.sampled_from("abc"), st.sampled_from("xyz"), max_size=3)


@given(labels, st.sampled_from("abc"), st.sets(st.sampled_from("xyz"), min_size=1))
def test_in_and_notin_are_opposites_and_equality_is_a_set_of_one(
    held: dict[str, str], key: str, values: set[str]
) -> None:
    listed = ",".join(sorted(values))
    assert fits(f"{key} in ({listed})", held) is not fits(f"{key} notin ({listed})", held)
    for value in values:
        assert fits(f"{key}={value}", held) == fits(f"{key} in ({value})", held)
        assert fits(f"{key}!={value}", held) is not fits(f"{key}={value}", held)


def test_only_fields_that_are_named_are_shown_and_which_resource_it_is() -> None:
    resource = {
        "apiVersion": "v1",
        "kind": "Agent",
        "metadata": {"name": "m", "labels": {"a": "b"}},
        "spec": {"role": "r", "model": {"name": "x", "top": 1}},
    }
    only = {"apiVersion": "v1", "kind": "Agent", "metadata": {"name": "m"}}
    assert shown(resource, ["spec.model.name"]) == {**only, "spec": {"model": {"name": "x"}}}
    assert shown(resource, ["spec.nothing", "metadata.labels.a"]) == {
        **only,
        "metadata": {"name": "m", "labels": {"a": "b"}},
    }
    assert shown(resource, []) == resource
    assert resource["spec"] == {"role": "r", "model": {"name": "x", "top": 1}}
