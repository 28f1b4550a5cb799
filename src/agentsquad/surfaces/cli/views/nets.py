"""Nets: whether workflows or Petri nets can get stuck, and how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agentsquad.surfaces.cli.cell import counted, took
from agentsquad.surfaces.cli.layout import Column, Page

SHOWN = 12
FIRING = 40


def checked(plain: Any, page: Page) -> None:
    """Say the verdict on each net first, then what is wrong and how it comes
    about."""
    if not plain["nets"]:
        page.line("there is no workflow and no net in it")
    for place, one in enumerate(plain["nets"]):
        if place:
            page.line("")
        _net(one, page)
    for name, one in plain["simulations"].items():
        _simulation(name, one, page)
    if plain["written"]:
        page.line(f"written to {plain['written']}")


def _simulation(name: str, one: Mapping[str, Any], page: Page) -> None:
    page.title(f"{name} simulated: {counted(one['cases'], 'case')}, seed {one['seed']}")
    for words, estimate in (("an hour", one["per_hour"]), ("seconds a case", one["duration"])):
        page.line(f"{words}: {_estimate(estimate)}")
    page.line(f"half of them within {one['p50']} s, 95 % within {one['p95']} s")
    if one["resources"]:
        page.table(
            [Column("resource", keep=True), Column("busy"), Column("wait, s"), Column("queue")],
            [
                [
                    f"{use['resource']} × {use['capacity']}",
                    _estimate(use["utilisation"]),
                    _estimate(use["wait"]),
                    str(use["waiting_most"]),
                ]
                for use in one["resources"]
            ],
        )
    page.table(
        [
            Column("step"),
            Column("a case", right=True),
            Column("work, s", right=True),
            Column("wait, s", right=True),
        ],
        [
            [use["step"], str(use["per_case"]), str(use["work"]), str(use["wait"])]
            for use in one["steps"]
        ],
    )
    page.line(f"the bottleneck is {one['bottleneck']}")
    if not one["stable"]:
        page.line("more arrives than can be done: waits grow without end")


def _estimate(one: Mapping[str, Any]) -> str:
    return f"{one['mean']} ({one['low']} to {one['high']})"


def _net(one: Mapping[str, Any], page: Page) -> None:
    size = f"{counted(one['places'], 'place')}, {counted(one['transitions'], 'transition')}"
    page.line(f"{one['net']}: {_verdict(one)} ({size}, {took(one['seconds'] * 1000)})")
    for question, why in one["reasons"].items():
        page.line(f"{question} not known: {why}")
    for note in one["notes"][:SHOWN]:
        page.line(note, "dim")
    found = one["findings"]
    if found:
        page.title("what is wrong")
    for finding in found[:SHOWN]:
        page.line(_finding(finding))
        if finding.get("hint"):
            page.line(f"  {finding['hint']}", "dim")
    if len(found) > SHOWN:
        page.line(f"and {len(found) - SHOWN} more", "dim")
    if one["witness"]:
        _witness(one["witness"], page)
    if one["soundness"]:
        _soundness(one["soundness"], page)


def _verdict(one: Mapping[str, Any]) -> str:
    parts = [
        _word(one["deadlock"], "can get stuck", "cannot get stuck"),
        _word(one["bounded"], "bounded", "unbounded"),
    ]
    if one["dead"]:
        parts.append(f"{len(one['dead'])} never happen")
    elif one["dead"] is not None:
        parts.append("everything can happen")
    return ", ".join(part for part in parts if part) or "not known"


def _word(answer: bool | None, yes: str, no: str) -> str:
    return "" if answer is None else yes if answer else no


def _finding(finding: Mapping[str, Any]) -> str:
    place = finding.get("file", "")
    if finding.get("line"):
        place += f":{finding['line']}"
    return f"{place}: {finding['message']}" if place else str(finding["message"])


def _witness(witness: Mapping[str, Any], page: Page) -> None:
    steps: Sequence[str] = witness.get("told") or witness["firing"]
    page.title("how it gets stuck")
    if not steps:
        page.line("at the start")
    for number, step in enumerate(steps[:FIRING], 1):
        page.line(f"{number:3} {step}")
    if len(steps) > FIRING:
        page.line(f"and {len(steps) - FIRING} more; all with -o json", "dim")


def _soundness(sound: Mapping[str, Any], page: Page) -> None:
    page.title(f"as a workflow net from {sound['source']} to {sound['sink']}")
    for name, words in (
        ("option_to_complete", "the end can always be reached"),
        ("proper", "nothing is left over at the end"),
        ("no_dead", "every transition can happen"),
    ):
        page.line(f"{_word(sound[name], 'yes', 'no') or 'not known':9} {words}")


VIEWS = {"workflows.check": checked}
