"""Remedy: what can be done about one run, as commands to type.

Only commands that this installation has are named.
"""

from __future__ import annotations

from collections.abc import Collection

REASON = "--reason '…'"


def remedies(
    known: Collection[str], run: str, step: str | None, version: str | None
) -> tuple[str, ...]:
    """Return what can be done about a run that the new version does not fit;
    `version` is the one it goes on under, None if there is none."""
    found = []
    if version is not None:
        found.append(f"nothing: it goes on under {version}")
    if "runs.restart" in known and step is not None:
        stop = f"squad runs cancel {run} {REASON}"
        found.append(f"{stop}, then squad runs restart {run} --from {step} {REASON}")
    if version is None:
        found.append("squad deploy FILE, with the source it began under: its digest is the same")
        found.append(f"squad runs cancel {run} {REASON}")
    return tuple(found)
