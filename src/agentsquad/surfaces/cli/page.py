"""The command line's page in the reference: every command with its words,
options and examples."""

from __future__ import annotations

from collections.abc import Sequence

from agentsquad.surfaces.gateway.operation import Field, Operation

HEAD = """\
# Commands

<!-- Written by tools/command_index.py; change the actions, not this page. -->

Every command takes `-o table|json|yaml`, `--home DIR`, `--as ACTOR` and `-q`, before its words or
after them. `squad COMMAND --help` says the same as this page. Exit codes are those of the
[errors](errors.md); 130 means interrupted.
"""


def page(operations: Sequence[Operation]) -> str:
    """Return the page, in Markdown."""
    return HEAD + "".join(map(_section, operations))


def _section(operation: Operation) -> str:
    words = " ".join(["squad", *operation.path, *map(_argument, operation.fields)]).rstrip()
    text = f"\n## squad {' '.join(operation.path)}\n\n{operation.summary}\n"
    if operation.description:
        text += f"\n{operation.description}\n"
    text += f"\n`{' '.join(words.split())}` · action `{operation.action}` · {operation.effect}\n"
    lines = [_line(field) for field in operation.fields]
    if lines:
        text += "\n" + "".join(lines)
    examples = operation.examples or (operation.example,)
    return text + "\n```text\n" + "\n".join(examples) + "\n```\n"


def _argument(field: Field) -> str:
    if not field.positional:
        return ""
    name = field.name.upper() + ("…" if field.kind == "list" else "")
    return name if field.required else f"[{name}]"


def _line(field: Field) -> str:
    name = field.name.upper() if field.positional else field.flag
    notes = [field.description.rstrip(".")]
    if field.choices:
        notes.append("one of " + ", ".join(field.choices))
    if field.required:
        notes.append("required")
    elif field.default not in (None, False, [], "", {}):
        notes.append(f"default {'on' if field.default is True else field.default}")
    return f"- `{name}` {'; '.join(note for note in notes if note)}\n"
