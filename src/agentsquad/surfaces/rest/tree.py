"""Tree: which endpoint an address leads to, found step by step.

A router that tries one pattern after another spends more on finding an address
than on answering it; here each part of an address is one look. A fixed word
goes before a part that may be anything.
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.types import ASGIApp, Receive, Scope, Send

from agentsquad.surfaces.rest.endpoint import Endpoint


class _Step:
    """What may follow a part of an address."""

    __slots__ = ("any", "endpoint", "name", "words")

    def __init__(self) -> None:
        self.words: dict[str, _Step] = {}
        self.any: _Step | None = None
        self.name = ""
        self.endpoint: Endpoint | None = None


class Tree:
    """The endpoints of some addresses, as one application."""

    def __init__(self, addresses: Mapping[str, Endpoint], elsewhere: ASGIApp) -> None:
        self._top = _Step()
        self._elsewhere = elsewhere
        for path, endpoint in addresses.items():
            self._add(path, endpoint)

    def _add(self, path: str, endpoint: Endpoint) -> None:
        step, names = self._top, []
        for part in path.strip("/").split("/"):
            if part.startswith("{"):
                names.append(part[1:-1])
                if step.any is None:
                    step.any = _Step()
                step = step.any
            else:
                step = step.words.setdefault(part, _Step())
        step.endpoint, step.name = endpoint, ",".join(names)

    def find(self, path: str) -> tuple[Endpoint, dict[str, str]] | None:
        """Return the endpoint of an address, and the parts it names."""
        if not path.startswith("/"):
            return None
        found = _walk(self._top, path[1:].split("/"), 0, [])
        if found is None:
            return None
        step, held = found
        assert step.endpoint is not None
        return step.endpoint, dict(zip(step.name.split(","), held, strict=True) if held else ())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        found = self.find(scope["path"])
        if found is None:
            await self._elsewhere(scope, receive, send)
            return
        endpoint, held = found
        scope["path_params"] = held
        scope["route"] = endpoint
        await endpoint(scope, receive, send)


def _walk(
    step: _Step, parts: list[str], at: int, held: list[str]
) -> tuple[_Step, list[str]] | None:
    if at == len(parts):
        return (step, held) if step.endpoint is not None else None
    part = parts[at]
    following = step.words.get(part)
    if following is not None:
        found = _walk(following, parts, at + 1, held)
        if found is not None:
            return found
    if step.any is None or not part:
        return None
    return _walk(step.any, parts, at + 1, [*held, part])
