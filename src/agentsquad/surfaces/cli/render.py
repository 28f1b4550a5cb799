"""Rendering: outputs as tables that fit the terminal, as JSON or as YAML.

JSON and YAML hold everything; tables hold what a person wants to know. All go
to standard output and nothing else does.
"""

from __future__ import annotations

import sys
from typing import Any

import msgspec

from agentsquad.surfaces.cli.ink import Ink
from agentsquad.surfaces.cli.layout import Page
from agentsquad.surfaces.cli.machine import written


def document(plain: Any) -> Any:
    """Return the document that an output's text is, where that is JSON.

    What a conversion made can so be given back to it.
    """
    text = plain.get("text")
    if not isinstance(text, str) or text.lstrip()[:1] != "{":
        return plain
    return msgspec.json.decode(text)


def show(action: str, result: Any, form: str, ink: Ink, questions: Any = ()) -> None:
    """Print an output; a table in this ink, with the questions that wait."""
    plain = msgspec.to_builtins(result, str_keys=True)
    if form != "table":
        text = written(document(plain) if action == "edi.convert" else plain, form)
    else:
        from agentsquad.surfaces.cli.views import view

        if questions:
            plain = {**plain, "questions": msgspec.to_builtins(questions, str_keys=True)}
        page = Page()
        view(action, plain, page)
        text = page.text(ink)
    sys.stdout.write(text)
    sys.stdout.flush()
