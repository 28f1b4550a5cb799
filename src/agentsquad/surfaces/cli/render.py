"""Rendering: outputs as tables that fit the terminal, as JSON or as YAML.

JSON and YAML hold everything; tables hold what a person wants to know. All go
to standard output and nothing else does.
"""

from __future__ import annotations

import sys
from typing import Any

import msgspec

from agentsquad.surfaces.cli.layout import Page
from agentsquad.surfaces.cli.machine import written


def show(action: str, result: Any, form: str) -> None:
    """Print an output."""
    plain = msgspec.to_builtins(result, str_keys=True)
    if form != "table":
        text = written(plain, form)
    else:
        from agentsquad.surfaces.cli.views import view

        page = Page()
        view(action, plain, page)
        text = page.text()
    sys.stdout.write(text)
    sys.stdout.flush()
