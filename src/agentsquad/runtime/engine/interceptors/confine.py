"""Confine: on a server actions open files only where their namespace may.

Apart from the gateway, which takes no path from afar: a workflow's input, or a
manifest that somebody applied, may name one too, and the process can read the
logs and keys of every namespace.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Iterator
from typing import Any

import msgspec

from agentsquad.kernel.errors import DeniedError
from agentsquad.runtime.engine.door import Proceed, Step, World, only


class Confinement(msgspec.Struct, frozen=True):
    """A port, mounted on servers only: what the real path of every file that is
    read or written must begin with."""

    beginnings: tuple[str, ...]

    def allows(self, path: str) -> bool:
        """Whether a file may be opened; links are followed first."""
        real = os.path.realpath(path)
        return any(real.startswith(one) for one in self.beginnings)


class PathConfinedError(DeniedError):
    """On a server files are opened only in the namespace's own folder."""

    code = "door.path"


@only(lambda spec: bool(spec.files))
def confine(world: World, step: Step, proceed: Proceed) -> Awaitable[Any]:
    """Let the call pass only if every path in its input may be opened."""
    ports = world.ports
    if ports.has(Confinement):
        confinement: Confinement = ports.get(Confinement)
        for field, path in paths(step):
            if not confinement.allows(path):
                raise PathConfinedError(
                    f"{step.action.name} may not open {field} there",
                    hint="send the content, or have the file put into HOME/files of the namespace",
                )
    return proceed(step)


def paths(step: Step) -> Iterator[tuple[str, str]]:
    """Return the paths in a step's input, by field."""
    for field, way in step.action.spec.files.items():
        given = getattr(step.value, field, None)
        for one in given if isinstance(given, list | tuple) else (given,):
            if isinstance(one, str) and not (way == "json" and _is_json(one)):
                yield field, one


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except msgspec.DecodeError:
        return False
    return True
