"""Windows: which runs are the old ones and which the new.

Times are those at which runs started, by the log. A window never takes what the
other has.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from agentsquad.insight.drift.contract import (
    Change,
    DriftRunsError,
    DriftWindowError,
    Factor,
    Window,
)
from agentsquad.insight.drift.correction import FIRST_LOOK, LOOKS
from agentsquad.insight.drift.interval import runs_needed
from agentsquad.insight.drift.population import Observation
from agentsquad.kernel import hashing

AGO = re.compile(r"(\d+)\s*(m|h|d|w)")
UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
DAY = re.compile(r"\d{4}-\d\d-\d\d")
FORMS = "2026-11-12, 2026-11-12T08:00Z, 7d (days ago; also m, h, w) or the id of a run"
FACTOR_OF: dict[str, Factor] = {
    "model": "model",
    "prompt": "prompt",
    "tool": "tool",
    "registry": "tool",
    "policy": "policy",
    "definition": "definition",
}


def moment(text: str, now_ms: int, *, end: bool = False) -> str | None:
    """Return a time in the form of the log; None when the text may be a run's
    id.

    `end`: a day stands for its last millisecond.
    """
    ago = AGO.fullmatch(text)
    if ago:
        now = datetime.fromtimestamp(now_ms / 1000, UTC)
        return _written(now - timedelta(**{UNITS[ago[2]]: int(ago[1])}))
    if not re.match(r"\d{4}-", text):
        return None
    try:
        if DAY.fullmatch(text):
            day = datetime.fromisoformat(text).replace(tzinfo=UTC)
            return _written(day + timedelta(days=1, milliseconds=-1) if end else day)
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise DriftWindowError(f"{text!r} is no time: {error}", hint=f"write {FORMS}") from error
    return _written(at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC))


def _written(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def between(text: str) -> tuple[str, str]:
    """Return both ends of FROM..TO; either may be left out."""
    first, dots, last = text.partition("..")
    if not dots or not (first or last):
        raise DriftWindowError(
            f"{text!r} is no window", hint="write FROM..TO, for example 2026-10-01..2026-10-31"
        )
    return first.strip(), last.strip()


def window(runs: Sequence[Observation]) -> Window:
    """Return what a report says about some runs."""
    return Window(
        runs=len(runs),
        first=runs[0].started if runs else "",
        last=runs[-1].started if runs else "",
        roots=len({one.root for one in runs}),
        digest=digest(runs),
    )


def digest(runs: Sequence[Observation]) -> str:
    """Return the digest of everything that is compared of some runs."""
    return hashing.digest(
        [
            [one.run, one.status, _flat(one.numbers), _flat(one.words), _flat(one.versions)]
            for one in runs
        ]
    )


def _flat(table: Mapping[tuple[str, str], object]) -> list[object]:
    return [[kind, name, msgspec.to_builtins(table[kind, name])] for kind, name in sorted(table)]


def enough(old: int, new: int, alpha: float, *, looks: bool, names: Mapping[str, int]) -> None:
    """Refuse to compare too few runs; say how many show what, and which other
    names have runs enough."""
    if min(old, new) >= FIRST_LOOK:
        return
    share = alpha / LOOKS if looks else alpha
    needed = runs_needed(0.05, 0.20, alpha=share / 10)
    side = "the baseline has" if old < new else "there are"
    which = "" if old < new else " since then"
    others = sorted((name for name, count in names.items() if count >= 2 * FIRST_LOOK))
    hint = f"to see a share go from 5 % to 20 % in nine cases of ten takes about {needed} a side"
    if others:
        hint = f"{hint}; there are enough of {', '.join(others[:5])}"
    raise DriftRunsError(
        f"{side} {min(old, new)} runs{which}; at least {FIRST_LOOK} a side are compared",
        hint=hint,
        details={"old": old, "new": new, "least": FIRST_LOOK, "needed": needed},
    )


def changes(old: Sequence[Observation], new: Sequence[Observation]) -> list[Change]:
    """Return the versions that are other ones in most of the new runs."""
    found = []
    keys = sorted({key for one in (*old, *new) for key in one.versions})
    for key in keys:
        kind, of = key
        was = Counter(one.versions[key] for one in old if key in one.versions)
        now = Counter(one.versions[key] for one in new if key in one.versions)
        if not was or not now:
            continue
        before, after = was.most_common(1)[0][0], now.most_common(1)[0][0]
        if before == after:
            continue
        first = next(one.started for one in new if one.versions.get(key) == after)
        found.append(
            Change(
                factor=FACTOR_OF[kind],
                of=of or ("registry" if kind == "registry" else ""),
                old=before,
                new=after,
                first=first,
            )
        )
    return found
