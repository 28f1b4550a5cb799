"""Assertions on histories: what the tests written by `squad export-test` are
made of."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from agentsquad.kernel.errors import InvalidError
from agentsquad.kernel.event import Event
from agentsquad.kernel.policy import PolicyEngine
from agentsquad.kernel.ports import EventStore
from agentsquad.kernel.registry import Plugin, Registry
from agentsquad.runtime.determinism.contract import Replay
from agentsquad.runtime.determinism.export import unpack
from agentsquad.runtime.determinism.history import (
    History,
    HistoryBlobs,
    HistoryInvalidError,
    HistoryStore,
    load,
)
from agentsquad.runtime.determinism.redecide import Redecided, redecide
from agentsquad.runtime.determinism.replay import replay
from agentsquad.runtime.engine.contract import Deployed, Deployments
from agentsquad.runtime.engine.door import Ports, World
from agentsquad.runtime.engine.versions import Code, Versions, versions_of
from agentsquad.testing.world import AllowAll

T = TypeVar("T")
SHOWN_MAX = 5
WIDTH = 200


def read_history(source: str | Path) -> History:
    """Return a history from a file, or from the text of one."""
    text = source.read_text("utf-8") if isinstance(source, Path) else source
    return load(unpack(text))


def assert_replays(
    history: History | str | Path, *, plugins: Iterable[Plugin | str] = ()
) -> Replay:
    """Replay a recorded run and all below it against the installed code.

    Passes when every step, argument and result is as recorded, whether or not
    the code is the same text. Otherwise the AssertionError names the event and
    field. `plugins` are mounted besides those of this distribution, as values
    or as "module:name". Nothing outside is reached.
    """
    read = history if isinstance(history, History) else read_history(history)
    registry = installed(plugins)
    versions = contained(read, registry)
    told = _run(replay(HistoryStore(read), registry, read.run, HistoryBlobs(read), versions))
    if told.verdict not in ("identical", "compatible"):
        raise AssertionError(_replay_text(read, told))
    return told


def assert_decides(
    history: History | str | Path,
    *,
    plugins: Iterable[Plugin | str] = (),
    policy: str | None = None,
) -> int:
    """Ask the installed rules again about every recorded decision.

    Passes when what is allowed, by which clauses and on which conditions is as
    recorded; returns how many were asked. `policy` is a folder of further
    rules. A decision is about input a workflow made: where the code itself has
    changed, `assert_replays` fails and says so.
    """
    from agentsquad.runtime.policy.plugin import load_policy

    read = history if isinstance(history, History) else read_history(history)
    registry = installed(plugins)
    versions = contained(read, registry)
    if versions is not None:
        for digest in read.code:
            registry = _run(versions.home(digest)).world.registry
    asked, differing = _run(redecide(read.events, registry, load_policy(registry.plugins, policy)))
    if differing:
        lines = [_decision_text(one) for one in differing[:SHOWN_MAX]]
        if len(differing) > SHOWN_MAX:
            lines.append(f"and {len(differing) - SHOWN_MAX} more")
        raise AssertionError("\n".join(lines))
    return asked


class Contained:
    """The deployed versions that a history holds (`Deployments`)."""

    def __init__(self, code: Mapping[str, Code]) -> None:
        from agentsquad.operations.deployment.plugin import loader
        from agentsquad.operations.deployment.source import named

        self._loader = loader(None)
        self._sources = {
            digest: named(one.files, one.entry, one.name) for digest, one in code.items()
        }
        for digest, source in self._sources.items():
            if source.digest != digest:
                raise HistoryInvalidError(
                    f"the code of {source.name} in the history is not that of version {digest}",
                    hint="squad export-test RUN writes it anew; to try other code, deploy it",
                )

    def newest(self, workflow: str) -> str | None:
        """No run begins here."""
        return None

    def names(self) -> list[str]:
        """No run begins here."""
        return []

    def knows(self, digest: str) -> bool:
        """Whether the history holds a version."""
        return digest in self._sources

    async def refresh(self) -> None:
        """Nothing is deployed here."""

    async def load(self, digest: str) -> Deployed:
        """Return a version, loaded."""
        source = self._sources[digest]
        return Deployed(name=source.name, digest=digest, plugin=self._loader.load(source))


def contained(history: History, registry: Registry) -> Versions | None:
    """Return the versions of a history, beside what is installed; None if it
    holds none."""
    if not history.code:
        return None
    ports = Ports({EventStore: HistoryStore(history), Deployments: Contained(history.code)})
    ports.put(PolicyEngine, AllowAll())  # replay asks nobody
    return versions_of(World(registry, ports))


def installed(plugins: Iterable[Plugin | str] = ()) -> Registry:
    """Return everything this distribution mounts, and more plugins."""
    from agentsquad.assembly.catalogue import plugins as catalogue

    return Registry([*catalogue(), *(_plugin(one) for one in plugins)])


def _plugin(one: Plugin | str) -> Plugin:
    if isinstance(one, Plugin):
        return one
    from importlib import import_module

    module, _, name = one.partition(":")
    found = getattr(import_module(module), name or "plugin", None)
    if not isinstance(found, Plugin):
        raise InvalidError(
            f"{one!r} is not a plugin", code="plugin.missing", hint='write "package.module:plugin"'
        )
    return found


def _run(work: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner() as runner:
        return runner.run(work)


def _replay_text(history: History, told: Replay) -> str:
    event = _event(history, told.event)
    where = f"event {told.event}" if event is None else f"event {told.event} {event.type}"
    step = "" if event is None else _step(event)
    if told.verdict == "not_replayable":
        return f"cannot be replayed, {where}{step}: {told.reason}"
    field = told.field or ""
    if field and not field.startswith("/"):
        field = f"/{field}"
    named = f", {field}" if field else ""
    seen = told.was is not None or told.now is not None
    values = f": recorded {_value(told.was)}, now {_value(told.now)}" if seen else ""
    return f"diverged at {where}{step}{named}{values}\n{told.reason or ''}".rstrip()


def _decision_text(one: Redecided) -> str:
    return (
        f"decided otherwise at event {one.event} {one.type} ({one.action} at step {one.position} "
        f"of {one.run}), {one.field}: recorded {_value(one.was)}, now {_value(one.now)}"
    )


def _event(history: History, seq: int | None) -> Event | None:
    every = (event for journal in history.events.values() for event in journal)
    return next((event for event in every if event.seq == seq), None)


def _step(event: Event) -> str:
    body = event.payload or {}
    name = body.get("action") or body.get("workflow") or ""
    at = f"step {body['position']} of " if "position" in body else ""
    return f" ({name + ' at ' if name and at else ''}{at}{event.stream.removeprefix('run/')})"


def _value(value: Any) -> str:
    from agentsquad.kernel.pointer import ABSENT

    if value is ABSENT:
        return "nothing"
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= WIDTH else f"{text[:WIDTH]}…"
