"""Negotiation: which format and which coding an answer is given in.

Pure: reads what a request accepts (RFC 9110, section 12.5) and chooses. What is
asked for with the greatest weight wins, then our own order.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Sequence
from typing import NamedTuple

from agentsquad.surfaces.rest.contract import NotAcceptableError
from agentsquad.surfaces.rest.formats import FORMATS, JSON, Format

WEIGHT = re.compile(r"(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)")
RANGES_MAX = 64
COMPRESS_MIN = 1_024  # below it a coding makes an answer longer or hardly shorter
GZIP_LEVEL = 5
CODINGS = ("gzip", "deflate")


class Range(NamedTuple):
    """What may come, and how much it is wanted, from 0 to 1."""

    name: str
    weight: float


def accepted(header: str) -> list[Range]:
    """Return what a header lists; a part that cannot be read counts for
    nothing."""
    found = []
    for part in header.split(",")[:RANGES_MAX]:
        name, *parameters = (one.strip() for one in part.split(";"))
        weight = 1.0
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            if key.strip().lower() == "q":
                value = value.strip()
                weight = float(value) if WEIGHT.fullmatch(value) else 0.0
        if name:
            found.append(Range(name.lower(), weight))
    return found


def weight_of(media_type: str, ranges: Sequence[Range]) -> float:
    """Return how much a media type is wanted: what names it most closely
    decides."""
    family = media_type.partition("/")[0]
    for name in (media_type, f"{family}/*", "*/*"):
        for one in ranges:
            if one.name == name:
                return one.weight
    return 0.0


def format_for(header: str | None) -> Format:
    """Return the format of an answer; NotAcceptableError if none will do."""
    if not header or header == "*/*":
        return JSON
    if header == "application/json":
        return JSON
    ranges = accepted(header)
    best, most = JSON, 0.0
    for one in FORMATS:
        weight = max(weight_of(media_type, ranges) for media_type in one.media_types)
        if weight > most:
            best, most = one, weight
    if most == 0.0:
        raise NotAcceptableError(
            f"{header[:100]!r} cannot be given",
            hint="accept one of " + ", ".join(one.media_types[0] for one in FORMATS),
        )
    return best


def wants(header: str | None, media_type: str) -> bool:
    """Whether a media type is asked for by name, and more than JSON."""
    if not header or media_type not in header.lower():
        return False
    ranges = accepted(header)
    weight = next((one.weight for one in ranges if one.name == media_type), 0.0)
    return weight > 0 and weight >= weight_of(JSON.media_types[0], ranges)


def coding_for(header: str | None, size: int) -> str:
    """Return the coding of an answer of that many bytes, "" for none."""
    if not header or size < COMPRESS_MIN:
        return ""
    weights = {one.name: one.weight for one in accepted(header)}
    best, most = "", 0.0
    for coding in CODINGS:
        weight = weights.get(coding, weights.get("*", 0.0))
        if weight > most:
            best, most = coding, weight
    return best if most >= weights.get("identity", 0.0) else ""


def coded(data: bytes, coding: str) -> bytes:
    """Return bytes in a coding; the same bytes give the same result."""
    if coding == "gzip":
        return gzip.compress(data, GZIP_LEVEL, mtime=0)
    return zlib.compress(data, GZIP_LEVEL) if coding == "deflate" else data
