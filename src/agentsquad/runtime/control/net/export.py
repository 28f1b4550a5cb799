"""Writing nets as PNML (ISO/IEC 15909-2, place/transition nets).

Ids that are names of XML are kept; others become p1, t1 and so on, and what
they were called is the name. One page holds a net, and nothing is drawn.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape, quoteattr

from agentsquad.runtime.control.net.petri import Net

SPACE = "http://www.pnml.org/version-2009/grammar/pnml"
PTNET = "http://www.pnml.org/version-2009/grammar/ptnet"
_ID = re.compile(r"[A-Za-z_][A-Za-z0-9._-]*\Z")
_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


def written(nets: Sequence[Net]) -> bytes:
    """Return a document with these nets."""
    names = _Names()
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', f'<pnml xmlns="{SPACE}">']
    for net in nets:
        lines += _net(net, names)
    return "\n".join([*lines, "</pnml>", ""]).encode()


class _Names:
    """Ids of a document: each is used once."""

    def __init__(self) -> None:
        self._used: set[str] = set()

    def take(self, wanted: str, kind: str) -> str:
        """Return the wanted id, or one of the kind if it cannot be had."""
        found, count = wanted, 0
        while found in self._used or not _ID.match(found):
            count += 1
            found = f"{kind}{count}"
        self._used.add(found)
        return found


def _net(net: Net, names: _Names) -> Iterator[str]:
    name = names.take(net.id, "net")
    yield f'  <net id="{name}" type="{PTNET}">'
    yield f"    {_label(net.name)}"
    yield f'    <page id="{names.take(f"{name}-page", "page")}">'
    places = [names.take(place.id, "p") for place in net.places]
    ends = [names.take(one.id, "t") for one in net.transitions]
    for place, key in zip(net.places, places, strict=True):
        yield f"      <place id={quoteattr(key)}>"
        yield f"        {_label(place.name)}"
        if place.tokens:
            yield f"        <initialMarking><text>{place.tokens}</text></initialMarking>"
        yield "      </place>"
    for one, key in zip(net.transitions, ends, strict=True):
        yield f"      <transition id={quoteattr(key)}>"
        yield f"        {_label(one.name)}"
        yield "      </transition>"
    for one, key in zip(net.transitions, ends, strict=True):
        for place_number, weight in one.takes.items():
            yield _arc(names, (places[place_number], key), weight)
        for place_number, weight in one.puts.items():
            yield _arc(names, (key, places[place_number]), weight)
    yield "    </page>"
    yield "  </net>"


def _label(text: str) -> str:
    return f"<name><text>{escape(_UNWRITABLE.sub('?', text))}</text></name>"


def _arc(names: _Names, ends: tuple[str, str], weight: int) -> str:
    key = names.take(f"{ends[0]}_to_{ends[1]}", "arc")
    more = f"<inscription><text>{weight}</text></inscription>" if weight != 1 else ""
    return f'      <arc id="{key}" source="{ends[0]}" target="{ends[1]}">{more}</arc>'
