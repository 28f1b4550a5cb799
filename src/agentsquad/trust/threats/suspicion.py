"""Suspicion: how much an address looks like a machine that tries doors, in
points that fade.

Points come from how requests ended, from paths that only scanners ask for,
from headers that say or betray a tool, and from attack rules. They are whole
numbers and fade evenly, so that a rare mistake is soon forgotten and a steady
stream of them is not.
"""

from __future__ import annotations

import re
from collections import OrderedDict

import msgspec

from agentsquad.trust.threats.contract import Hit

ADDRESSES_MAX = 100_000
POINTS_MAX = 1_000
# Not 404 and 429: whoever waits for something to appear, or is told to wait,
# does what clients do.
ENDED = {401: 4, 403: 1}

# What no client of ours asks for, and every scanner does.
_DOORS = re.compile(
    r"(?:^|/)(?:\.(?:git|svn|hg|env|aws|ssh|htaccess|htpasswd|DS_Store)(?:/|$|\.)"
    r"|wp-(?:login|admin|content|includes|config)|xmlrpc\.php|phpmyadmin|pma(?:/|$)"
    r"|cgi-bin/|server-status|actuator(?:/|$)|jenkins(?:/|$)|solr(?:/|$)|vendor/phpunit"
    r"|boaform|HNAP1|owa/auth|autodiscover|telescope/requests|console(?:/|$)"
    r"|id_rsa|web\.config|config\.(?:php|json|yml)$|dump\.sql|backup\.(?:zip|sql|tar))"
    r"|\.(?:php\d?|aspx?|jsp|cgi|bak|old|swp)$",
    re.IGNORECASE,
)
_TOOLS = re.compile(
    r"sqlmap|nikto|nuclei|masscan|zgrab|nmap|dirbuster|gobuster|feroxbuster|wfuzz|ffuf|acunetix"
    r"|nessus|openvas|w3af|havij|arachni|wpscan|joomscan|commix|xsstrike|jndi|hydra|metasploit",
    re.IGNORECASE,
)
DOOR, TOOL, NAMELESS, RULE = 25, 60, 1, 10


class Fading(msgspec.Struct, frozen=True):
    """Points, in thousandths, and when they were so many."""

    milli: int
    at_ms: int


def faded(state: Fading | None, now_ms: int, per_minute: int) -> int:
    """Return what is left of points now, in thousandths."""
    if state is None:
        return 0
    return max(0, state.milli - max(0, now_ms - state.at_ms) * per_minute * 1000 // 60_000)


def looks(hit: Hit) -> list[tuple[str, int]]:
    """Return what is suspicious about a request itself: (signal, points)."""
    found: list[tuple[str, int]] = []
    if _DOORS.search(hit.path):
        found.append(("bot.path", DOOR))
    agent = hit.headers.get("user-agent")
    if agent and _TOOLS.search(agent):
        found.append(("bot.tool", TOOL))
    elif not agent and hit.headers:
        found.append(("bot.nameless", NAMELESS))
    return found


class Suspicions:
    """The points of all addresses; the ones not seen for longest go first."""

    def __init__(self, per_minute: int = 6, most: int = ADDRESSES_MAX) -> None:
        self._states: OrderedDict[str, Fading] = OrderedDict()
        self._per_minute = per_minute
        self._most = most

    def points(self, address: str, now_ms: int) -> int:
        """Return the points of an address."""
        return faded(self._states.get(address), now_ms, self._per_minute) // 1000

    def add(self, address: str, points: int, now_ms: int) -> int:
        """Give an address points, or take some; return what it has then."""
        left = faded(self._states.get(address), now_ms, self._per_minute)
        total = min(POINTS_MAX * 1000, max(0, left + points * 1000))
        if total:
            self._states[address] = Fading(total, now_ms)
            self._states.move_to_end(address)
            if len(self._states) > self._most:
                self._states.popitem(last=False)
        else:
            self._states.pop(address, None)
        return total // 1000

    def __len__(self) -> int:
        return len(self._states)
