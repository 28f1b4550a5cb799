"""Names as people type them: types of events with slips, runs cut short.

Pure. Knows only what is in the log, so a type that was never written is
refused only when it is plainly a slip for one that was.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from agentsquad.kernel.errors import InvalidError, MissingError
from agentsquad.kernel.registry import nearest
from agentsquad.kernel.spelling import distance

SLIPS_MAX = 2  # two types of events differ by more letters than this
_SHOWN_MAX = 5


def check_type(name: str, known: Collection[str]) -> None:
    """Raise InvalidError for what cannot be a type or is a slip for a known
    one."""
    if name in known:
        return
    dotted = "." in name.strip(".")
    if dotted and all(distance(name.lower(), other.lower()) > SLIPS_MAX for other in known):
        return
    meant = [other for other in sorted(known) if name in other.split(".")]
    hint = f"one of: {', '.join(meant)}" if meant else nearest(name, known)
    raise InvalidError(
        f"no events of type {name!r}",
        code="event.type",
        hint=hint or "squad log stats lists the types of events",
    )


def find_run(text: str, streams: Iterable[str]) -> str:
    """Return the id of the run that `text` names; each part of it may be cut
    short."""
    names = {stream.removeprefix("run/") for stream in streams if stream.startswith("run/")}
    if text in names:
        return text
    parts = text.split("/")
    found = sorted(
        name
        for name in names
        if len(own := name.split("/")) == len(parts)
        and all(part and one.startswith(part) for one, part in zip(own, parts, strict=True))
    )
    if "~" not in text:  # a run that went on as others is named by its first part
        found = [name for name in found if "~" not in name] or found
    if len(found) == 1:
        return found[0]
    if not found:
        raise MissingError(f"no run {text!r}", code="run.missing", hint="squad runs list --all")
    raise InvalidError(
        f"{text!r} is the beginning of {len(found)} runs",
        code="run.ambiguous",
        hint=f"one of: {', '.join(found[:_SHOWN_MAX])}",
    )
