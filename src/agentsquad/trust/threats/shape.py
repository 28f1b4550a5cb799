"""Shape: what a request may look like before anybody reads it, in numbers.

Depth is counted without building anything, so that a body made of brackets
costs one look at each byte.
"""

from __future__ import annotations

import re

import msgspec

from agentsquad.trust.threats.contract import Hit

_PLAIN = re.compile(rb'"(?:[^"\\]|\\.)*"|[^\[\]{}"]+', re.DOTALL)


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """The most of each; lengths in bytes."""

    path: int = 4_096
    query: int = 16_384
    headers: int = 100
    header: int = 16_384
    headers_bytes: int = 65_536
    body: int = 64 * 1024 * 1024
    depth: int = 128


def misshapen(hit: Hit, bounds: Bounds) -> list[str]:
    """Return the names of the bounds that a request passes, none for a request
    of an ordinary shape."""
    if _small(hit, bounds):
        return []
    sizes = [len(name) + len(value) for name, value in hit.headers.items()]
    wrong = {
        "path": len(hit.path) > bounds.path,
        "query": len(hit.query) > bounds.query,
        "headers": len(sizes) > bounds.headers,
        "header": bool(sizes) and max(sizes) > bounds.header,
        "headers_bytes": sum(sizes) > bounds.headers_bytes,
        "body": len(hit.body) > bounds.body or _announced(hit) > bounds.body,
        "control": any(ord(letter) < 32 for letter in hit.path),
    }
    found = [name for name, is_wrong in wrong.items() if is_wrong]
    if not found and "json" in hit.headers.get("content-type", "") and hit.body:
        found += ["depth"] if depth_of(hit.body, bounds.depth) > bounds.depth else []
    return found


def _small(hit: Hit, bounds: Bounds) -> bool:
    """Whether a request without a body is far from every bound, at one look:
    when all headers together are shorter than one may be, each is."""
    headers = hit.headers
    return (
        not hit.body
        and headers.get("content-length", "0") == "0"
        and len(hit.path) <= bounds.path
        and len(hit.query) <= bounds.query
        and len(headers) <= bounds.headers
        and hit.path.isprintable()
        and sum(map(len, headers)) + sum(map(len, headers.values()))
        <= min(bounds.header, bounds.headers_bytes)
    )


def _announced(hit: Hit) -> int:
    length = hit.headers.get("content-length", "")
    return int(length[:20]) if length.isascii() and length.isdigit() else 0


def depth_of(body: bytes, stop: int) -> int:
    """Return how deep JSON is nested; not exactly where it is beyond `stop`,
    or no JSON."""
    deepest = depth = 0
    for byte in _PLAIN.sub(b"", body):
        if byte in b"[{":
            depth += 1
            if depth > deepest:
                deepest = depth
                if deepest > stop:
                    break
        else:
            depth -= 1
    return deepest
