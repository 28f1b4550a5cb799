"""Resources: what was applied, what is there, what a field means."""

from __future__ import annotations

from typing import Any

from agentsquad.surfaces.cli.cell import inline, took
from agentsquad.surfaces.cli.layout import Column, Page


def applied(plain: Any, page: Page) -> None:
    """Say what each manifest changed."""
    for one in plain["applied"]:
        page.line(f"{one['kind']}/{one['name']} {'changed' if one['changed'] else 'unchanged'}")
    if not plain["applied"]:
        page.line("no resources in it")


def got(plain: Any, page: Page) -> None:
    """Lay out one resource as it can be applied again, or list a kind."""
    items = plain.get("items") if isinstance(plain, dict) else None
    if items is None:
        import yaml

        page.raw(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True))
        return
    if not items:
        page.line("no resources of this kind yet; squad apply -f FILE makes one")
        return
    page.table(
        [
            Column("kind", keep=True),
            Column("name", keep=True),
            Column("origin", keep=True),
            Column("what"),
        ],
        [
            [
                one.get("kind", ""),
                _name(one),
                (one.get("status") or {}).get("origin", "applied"),
                _about(one.get("spec") or {}),
            ]
            for one in items
        ],
    )


def listed(plain: Any, page: Page) -> None:
    """List a page of a kind, and say how to go on."""
    got(plain, page)
    if plain.get("next"):
        page.line(f"more with --cursor {plain['next']}", "dim")


def put(plain: Any, page: Page) -> None:
    """Say what became of one resource, and its revision."""
    resource = plain["resource"]
    what = "created" if plain["created"] else "changed" if plain["changed"] else "unchanged"
    page.line(f"{resource.get('kind', '')}/{_name(resource)} {what}")
    page.line(f"revision {plain['revision']}", "dim")


def _name(resource: dict[str, Any]) -> str:
    return str((resource.get("metadata") or {}).get("name", ""))


def _about(spec: dict[str, Any]) -> str:
    for name in ("description", "role", "type", "provider"):
        if isinstance(spec.get(name), str):
            return str(spec[name])
    return ", ".join(spec)


def explained(plain: Any, page: Page) -> None:
    """Lay out a kind or field and the fields inside it."""
    page.line(f"{plain['path']}  <{plain['type']}>", "bold")
    page.line(plain["description"])
    if not plain["fields"]:
        return
    page.title("fields")
    rows = []
    for field in plain["fields"]:
        notes = [field.get("description", "")]
        if field.get("values") and not field["type"].startswith("one of"):
            notes.append("one of " + ", ".join(map(str, field["values"])))
        if field.get("examples"):
            notes.append("e.g. " + inline(field["examples"][0]))
        name = field["name"] + (" *" if field.get("required") else "")
        rows.append([name, field["type"], "; ".join(n.rstrip(".") for n in notes if n)])
    page.table([Column("name", keep=True), Column("type"), Column("meaning")], rows)
    if any(field.get("required") for field in plain["fields"]):
        page.line("* required", "dim")


def models(plain: Any, page: Page) -> None:
    """List models and what they need."""
    if not plain["items"]:
        page.line("no models yet; squad apply takes a ModelProvider")
        return
    page.table(
        [
            Column("model", keep=True),
            Column("status"),
            Column("network", keep=True, drop=2),
            Column("priced", keep=True, drop=2),
            Column("embeds", keep=True, drop=3),
            Column("requests/min", right=True, drop=1),
            Column("tokens/min", right=True, drop=1),
        ],
        [
            [
                one["name"],
                one["status"],
                "yes" if one["network"] else "no",
                "yes" if one["priced"] else "no",
                "yes" if one["embeds"] else "",
                str(one["requests_per_minute"] or ""),
                str(one["tokens_per_minute"] or ""),
            ]
            for one in plain["items"]
        ],
    )


def tested(plain: Any, page: Page) -> None:
    """Say which models do what they must."""
    if not plain["items"]:
        page.line("no models were asked")
    page.table(
        [
            Column("model", keep=True),
            Column("check", keep=True),
            Column("", keep=True),
            Column("took", right=True, drop=1),
            Column("said", drop=2),
        ],
        [
            [
                one["model"],
                one["check"],
                "ok" if one["ok"] else "failed",
                took(one["took_ms"]),
                one["said"],
            ]
            for one in plain["items"]
        ],
    )
    for name, why in plain["skipped"].items():
        page.line(f"not asked: {name}: {why}", "dim")


def asked(plain: Any, page: Page) -> None:
    """Print an answer, and what it took."""
    page.raw(plain["text"])
    usage = plain["usage"]
    micros = usage["cost_micros"]
    price = "price unknown" if micros is None else f"{micros / 1_000_000:.6f} {usage['currency']}"
    page.line(
        f"— {plain['model']}, {usage['input_tokens']} tokens in, "
        f"{usage['output_tokens']} out, {price}, ended by {plain['finish']}",
        "dim",
    )


VIEWS = {
    "resources.apply": applied,
    "resources.get": got,
    "resources.list": listed,
    "resources.put": put,
    "resources.explain": explained,
    "models.list": models,
    "models.test": tested,
    "models.ask": asked,
}
