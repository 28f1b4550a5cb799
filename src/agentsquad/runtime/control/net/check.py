"""Checking a file: what it holds, the verdict on each net, and all in one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from agentsquad.runtime.control.net.bounds import Bounds
from agentsquad.runtime.control.net.contract import CheckOutput, NetFileError, NetVerdict
from agentsquad.runtime.control.net.judge import Judge
from agentsquad.runtime.control.net.petri import Net
from agentsquad.runtime.control.net.pnml import read_nets


class Limits(NamedTuple):
    """How long each net may be searched, and which is asked about."""

    clock: Callable[[], float]
    seconds: float
    states: int
    net: str | None = None

    def bounds(self) -> Bounds:
        """Return bounds that begin now."""
        return Bounds(self.clock, self.seconds, self.states)


def check(file: str, data: bytes, limits: Limits) -> CheckOutput:
    """Return what is known of the nets of a file."""
    verdicts = [
        Judge(net, limits.bounds()).judge() for net in chosen(read_nets(data, file), file, limits)
    ]
    return summed(file, "pnml", verdicts)


def chosen(nets: Sequence[Net], file: str, limits: Limits) -> Sequence[Net]:
    """Return the nets that are asked about."""
    if limits.net is None:
        return nets
    found = [net for net in nets if limits.net in (net.id, net.name)]
    if not found:
        known = ", ".join(net.id for net in nets)
        raise NetFileError(f"no net {limits.net!r}", file=file, line=1, hint=f"there is: {known}")
    return found


def summed(file: str, kind: str, verdicts: Sequence[NetVerdict]) -> CheckOutput:
    """Return the verdicts on several nets as one."""
    first = next((one for one in verdicts if one.deadlock), verdicts[0])
    reasons = {
        _named(verdicts, one, question): why
        for one in verdicts
        for question, why in one.reasons.items()
    }
    methods = {one.methods[q] for one in verdicts for q in one.methods if q == "deadlock"}
    return CheckOutput(
        file=file,
        kind=kind,
        deadlock=_any([one.deadlock for one in verdicts]),
        witness=first.witness,
        unbounded=_joined(verdicts, [one.unbounded for one in verdicts]),
        dead=_joined(verdicts, [one.dead for one in verdicts]),
        bounded=_all([one.bounded for one in verdicts]),
        safe=_all([one.safe for one in verdicts]),
        live=_all([one.live for one in verdicts]),
        states=sum(one.states for one in verdicts),
        seconds=round(sum(one.seconds for one in verdicts), 3),
        method="; ".join(sorted(methods)),
        reason=next(iter(reasons.values()), None),
        reasons=reasons,
        findings=[finding for one in verdicts for finding in one.findings],
        nets=list(verdicts),
    )


def _named(verdicts: Sequence[NetVerdict], one: NetVerdict, name: str) -> str:
    return name if len(verdicts) == 1 else f"{one.net}/{name}"


def _joined(verdicts: Sequence[NetVerdict], lists: Sequence[list[str] | None]) -> list[str] | None:
    found: list[str] = []
    for one, names in zip(verdicts, lists, strict=True):
        if names is None:
            return None
        found += [_named(verdicts, one, name) for name in names]
    return found


def _any(answers: Sequence[bool | None]) -> bool | None:
    return True if True in answers else None if None in answers else False


def _all(answers: Sequence[bool | None]) -> bool | None:
    return False if False in answers else None if None in answers else True
