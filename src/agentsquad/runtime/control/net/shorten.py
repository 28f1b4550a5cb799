"""Shorter ways to the same marking: loops on the way are cut out."""

from __future__ import annotations

from agentsquad.runtime.control.net.petri import Net


def shortened(net: Net, firing: list[int]) -> list[int]:
    """Return a firing sequence without detours through markings it meets
    twice."""
    marking = net.start
    kept: list[int] = []
    met = {marking: 0}
    trail = [marking]
    for one in firing:
        following = net.fired(marking, one)
        if following is None:
            return firing
        marking = following
        if marking in met:
            cut = met[marking]
            for gone in trail[cut + 1 :]:
                del met[gone]
            del trail[cut + 1 :]
            del kept[cut:]
            continue
        kept.append(one)
        met[marking] = len(kept)
        trail.append(marking)
    return kept
