"""The judge: whether a disturbed run came to the same as the undisturbed one.

The same end, the same result of every step, the same effects, each at the other
side once and confirmed once, and a journal that replays.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from agentsquad.kernel.pointer import diff, shown
from agentsquad.runtime.determinism.rehearsal import Story


def judge(calm: Story, story: Story) -> str:
    """Return what came out otherwise; nothing when all is the same."""
    if story.status != calm.status:
        why = f": {story.error['message']}" if story.error else ""
        return f"the run ended {story.status}, undisturbed {calm.status}{why}"
    for name in ("output", "error"):
        found = _first(getattr(calm, name), getattr(story, name))
        if found:
            return f"{name}{found}"
    found = _first(calm.resolved, story.resolved)
    if found:
        return f"steps{found}"
    said = _effects(calm, story)
    if said:
        return said
    if story.verdict is not None and story.verdict != calm.verdict:
        return f"the journal does not replay: {story.verdict}"
    return ""


def repeated(calm: Story, story: Story) -> int:
    """Return how often an effect reached the other side more often than in the
    undisturbed run, under whatever key, or was confirmed more than once."""
    was, now = _arrivals(calm), _arrivals(story)
    again = sum(max(0, now[place] - max(was[place], 1)) for place in now)
    return again + sum(max(0, line.confirmed - 1) for line in story.effects.values())


def _arrivals(story: Story) -> Counter[tuple[str, str, str]]:
    counted: Counter[tuple[str, str, str]] = Counter()
    for line in story.effects.values():
        if line.refused:
            continue
        counted[line.run, line.position, line.action] += line.arrived
    return counted


def _effects(calm: Story, story: Story) -> str:
    for key, was in calm.effects.items():
        now = story.effects.get(key)
        where = f"{was.action} at step {was.position}"
        if now is None:
            return f"effect {key[:12]} ({where}) never arrived"
        # What was refused took no effect; after a lost refusal it is asked
        # again.
        if now.arrived != was.arrived and not (was.refused and now.refused):
            return f"effect {key[:12]} ({where}) arrived {now.arrived} times, not {was.arrived}"
        if now.confirmed != was.confirmed:
            return f"effect {key[:12]} ({where}) was confirmed {now.confirmed} times"
    for key, now in story.effects.items():
        if key not in calm.effects:
            return f"effect {key[:12]} ({now.action} at step {now.position}) should not have left"
    return ""


def _first(was: Any, now: Any) -> str:
    for pointer, old, new in diff(was, now):
        return f"{pointer} is {shown(new)!r}, undisturbed {shown(old)!r}"
    return ""
