"""Flows of other languages: the manifest, and as comments above it what was not
taken over, so that the output can be applied as it is."""

from __future__ import annotations

from typing import Any

from agentsquad.surfaces.cli.layout import Page


def imported(plain: Any, page: Page) -> None:
    """Lay out what was read, unbroken: it is meant for a file."""
    import yaml

    if not plain["items"]:
        page.line("no workflow in this file")
        return
    parts = []
    for one in plain["items"]:
        weak = [missing for missing in one["not_taken"] if not missing["severe"]]
        hard = [missing for missing in one["not_taken"] if missing["severe"]]
        lines = []
        for title, missing in (("not taken over", hard), ("taken over otherwise", weak)):
            lines += [f"# {title}:"] if missing else []
            for each in missing:
                words = " ".join(f"{each['at']}: {each['construct']}: {each['why']}".split())
                lines.append(f"#   {words}")
        text = yaml.safe_dump(one["resource"], sort_keys=False, allow_unicode=True, width=100)
        parts.append("\n".join([*lines, text.rstrip("\n")]))
    page.raw("\n---\n".join(parts))


VIEWS = {"flows.import": imported}
