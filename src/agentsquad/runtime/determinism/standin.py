"""Stand-ins: a history in which nobody can be recognised, and which still
replays.

Every text the log sealed for a person is replaced, wherever it occurs, by one
of the same length and kind of characters, the same everywhere. What is derived
from such a text by digest (a blob's name, an approval's binding, an effect's
key) is derived again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from agentsquad.kernel import hashing
from agentsquad.kernel.event import Event
from agentsquad.runtime.determinism.history import History
from agentsquad.runtime.engine.approval import binding

UPPER, LOWER, DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz", "0123456789"


def stand_ins(texts: Iterable[str]) -> dict[str, str]:
    """Return a stand-in for each text, all different, none of them a text that
    stands for another."""
    known = sorted(set(texts))
    taken = set(known)
    found = {}
    for text in known:
        number = 0
        while (other := _masked(text, number)) in taken:
            number += 1
            if number > 10_000:
                other = ""
                break
        if other:
            taken.add(other)
            found[text] = other
    return found


def _masked(text: str, number: int) -> str:
    """Return a text of the same shape; `number` is written in its letters and
    digits."""
    out = []
    for char in text:
        if char.isascii() and char.isdigit():
            digits = DIGITS
        elif char.isalpha():
            digits = UPPER if char.isupper() else LOWER
        else:
            out.append(char)
            continue
        out.append(digits[(number + 23) % len(digits)])
        number //= len(digits)
    return "".join(out)


def replaced(history: History, standing: Mapping[str, str]) -> History:
    """Return the history with every text replaced and every digest derived
    again."""
    swap = _swapper(standing)
    blobs, names = _blobs(history.blobs, standing)
    events = {
        run: [_with(event, _swapped(event.payload, swap)) for event in journal]
        for run, journal in history.events.items()
    }
    events = _named(events, names)
    events = _named(events, _digests(history.events, events))
    events = _named(events, _digests(history.events, events, keys=True))
    return msgspec.structs.replace(history, events=events, blobs=blobs, personal="stand-ins")


def renamed(history: History, names: Mapping[str, str]) -> History:
    """Return the history with texts called by other names, as they are."""
    return msgspec.structs.replace(history, events=_named(history.events, names))


def _swapper(standing: Mapping[str, str]) -> Any:
    if not standing:
        return str
    longest = sorted(standing, key=len, reverse=True)
    pattern = re.compile("|".join(map(re.escape, longest)))
    return lambda text: pattern.sub(lambda found: standing[found.group()], text)


def _swapped(value: Any, swap: Any) -> Any:
    if isinstance(value, str):
        return swap(value)
    if isinstance(value, dict):
        return {name: _swapped(item, swap) for name, item in value.items()}
    if isinstance(value, list):
        return [_swapped(item, swap) for item in value]
    return value


def _with(event: Event, payload: Any) -> Event:
    return msgspec.structs.replace(event, payload=payload)


def _blobs(
    blobs: Mapping[str, bytes], standing: Mapping[str, str]
) -> tuple[dict[str, bytes], dict[str, str]]:
    """Return the blobs with texts replaced, and what each is called now."""
    found, names = {}, {}
    for name, data in blobs.items():
        for text in sorted(standing, key=len, reverse=True):
            data = data.replace(text.encode(), standing[text].encode())
        now = hashing.digest_bytes(data)
        found[now] = data
        if now != name:
            names[name] = now
    return found, names


def _named(
    events: Mapping[str, Sequence[Event]], names: Mapping[str, str]
) -> dict[str, list[Event]]:
    """Return events in which digests are called by their new names."""
    if not names:
        return {run: list(journal) for run, journal in events.items()}
    swap = _swapper(names)
    return {
        run: [_with(event, _swapped(event.payload, swap)) for event in journal]
        for run, journal in events.items()
    }


def _digests(
    old: Mapping[str, Sequence[Event]], new: Mapping[str, Sequence[Event]], *, keys: bool = False
) -> dict[str, str]:
    """Return old -> new of the digests that questions to people and effects
    hold."""
    names: dict[str, str] = {}
    for run, journal in new.items():
        for was, now in zip(old[run], journal, strict=True):
            if was.type == "approval.requested" and not keys:
                names.update(_question(was.payload, now.payload))
            elif was.type == "effect.planned" and keys:
                recorded = _key(run, was.payload)
                if recorded == was.payload["key"]:
                    names[recorded] = _key(run, now.payload)
    return {was: now for was, now in names.items() if was != now}


def _question(was: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, str]:
    body = dict(now)
    body["input_digest"] = hashing.digest(body["input"])
    body["evidence_digest"] = hashing.digest(body["evidence"])
    body["binding"] = binding(body)
    return {was[name]: body[name] for name in ("input_digest", "evidence_digest", "binding")}


def _key(run: str, body: Mapping[str, Any]) -> str:
    name = hashing.digest([run, body["position"], body["action"], body["input"]])
    return name.removeprefix("sha256:")[:32]
