"""Batch: embeddings that are asked for at about the same time, sent as one
request.

Laws: each asker gets the vectors of its own texts in their order, numbered from
0; the tokens that the parts are given add up to those of the whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agentsquad.integrations.proxy.contract import UpstreamReplyError
from agentsquad.kernel import hashing

TEXTS_MAX = 2048


def texts_of(body: Mapping[str, Any]) -> list[Any] | None:
    """Return the texts of a request; None for one that goes alone, such as
    token numbers."""
    given = body.get("input")
    if isinstance(given, str):
        return [given]
    if isinstance(given, list) and given and all(isinstance(one, str) for one in given):
        return list(given) if len(given) <= TEXTS_MAX else None
    return None


def company(body: Mapping[str, Any], headers: Mapping[str, str]) -> str:
    """Return what requests must have in common to be sent as one."""
    rest = {key: value for key, value in body.items() if key not in ("input", "user")}
    return hashing.digest([rest, dict(headers)])


def joined(bodies: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return one request for all of them."""
    texts = [text for body in bodies for text in texts_of(body) or ()]
    whole = {key: value for key, value in bodies[0].items() if key != "user"}
    return {**whole, "input": texts}


def parted(answer: Any, bodies: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the answer of each; UpstreamReplyError when vectors are
    missing."""
    sizes = [len(texts_of(body) or ()) for body in bodies]
    data = answer.get("data") if isinstance(answer, Mapping) else None
    if not isinstance(data, list) or len(data) != sum(sizes):
        raise UpstreamReplyError(f"{sum(sizes)} texts were sent and other vectors came back")
    if not all(isinstance(one, Mapping) for one in data):
        raise UpstreamReplyError("the vectors are not written as embeddings")
    ordered = sorted(data, key=lambda one: _index(one))
    if [_index(one) for one in ordered] != list(range(len(data))):
        raise UpstreamReplyError("the vectors are not numbered from 0")
    lengths = [sum(len(text) for text in texts_of(body) or ()) for body in bodies]
    counts = shares(answer.get("usage"), lengths)
    found, begin = [], 0
    for size, usage in zip(sizes, counts, strict=True):
        own = [{**one, "index": index} for index, one in enumerate(ordered[begin : begin + size])]
        found.append({**answer, "data": own, **({"usage": usage} if usage else {})})
        begin += size
    return found


def _index(one: Mapping[str, Any]) -> int:
    index = one.get("index")
    return index if type(index) is int else -1


def shares(usage: Any, lengths: Sequence[int]) -> list[dict[str, int]]:
    """Return the part of the tokens that each asker used, by the length of its
    texts; what is left by rounding goes to the first."""
    if not isinstance(usage, Mapping):
        return [{} for _ in lengths]
    whole = max(1, sum(lengths))
    found: list[dict[str, int]] = [{} for _ in lengths]
    for key, value in usage.items():
        if type(value) is not int or value < 0:
            continue
        parts = [value * length // whole for length in lengths]
        parts[0] += value - sum(parts)
        for own, part in zip(found, parts, strict=True):
            own[key] = part
    return found
