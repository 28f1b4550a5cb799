"""What is said of a failure: the smallest case in words, the one command that
repeats it, and a test that keeps it."""

from __future__ import annotations

import re
import shlex
from typing import Any

import msgspec

from agentsquad.kernel.event import Event
from agentsquad.operations.trials.contract import Broken, Failure, TestInput
from agentsquad.operations.trials.scenario import behaviour, blob
from agentsquad.operations.trials.tale import Tale

EVENTS_MAX = 200


def failure(
    value: TestInput, broken: Broken, choices: list[int], told: tuple[Tale, str]
) -> Failure:
    """Return what is said of one broken law."""
    tale, reason = told
    return Failure(
        invariant=broken.invariant,
        reason=reason,
        found=broken.found,
        input=tale.input,
        world=tale.world,
        behaviour=behaviour(tale.scenario),
        events=event_lines(tale),
        repeat=command(value, choices),
        shrunk_from=broken.events,
    )


def event_lines(tale: Tale) -> list[str]:
    """Return the events of a tale, one line each."""
    root = "" if tale.story is None else tale.story.run
    return [event_line(event, root) for event in tale.events[:EVENTS_MAX]]


def event_line(event: Event, root: str) -> str:
    """Return one event as a line: number, type, where, and what it is about."""
    body: dict[str, Any] = event.payload or {}
    run = event.stream.removeprefix("run/").removeprefix(root).lstrip("/")
    at = "/".join(part for part in (run, body.get("position", "")) if part)
    about = body.get("action") or body.get("workflow") or body.get("name") or ""
    error = body.get("error")
    if isinstance(error, dict):
        about = f"{about} {error.get('code')}".strip()
    return " ".join(part for part in (str(event.seq), event.type, at, about) if part)


def command(value: TestInput, choices: list[int]) -> str:
    """Return the command that plays one case again."""
    words = ["squad", "test", value.workflow]
    for name in ("plugin", "invariants"):
        given = getattr(value, name)
        if given is not None:
            words += [f"--{name}", given]
    return shlex.join([*words, "--repeat", blob(choices)])


def pytest_file(value: TestInput, found: Failure, tale: Tale) -> str:
    """Return a pytest file that fails until the law is kept."""
    name = re.sub(r"\W+", "_", f"{value.workflow}_keeps_{found.invariant}")
    case = msgspec.json.format(msgspec.json.encode(tale.scenario), indent=1).decode()
    options = [f"laws=({found.invariant!r},)"]
    for field in ("plugin", "invariants"):
        if getattr(value, field) is not None:
            options.append(f"{field}={getattr(value, field)!r}")
    return (
        f'"""{value.workflow} must keep the law {found.invariant!r}: the smallest case that '
        f'broke it.\n\nWritten by squad test; repeat it with: {found.repeat}\n"""\n\n'
        "from __future__ import annotations\n\n"
        "from agentsquad.testing import assert_holds\n\n\n"
        f"def test_{name}() -> None:\n"
        f'    """{_quoted(found.reason)}"""\n'
        f"    assert_holds(CASE, {', '.join(options)})\n\n\n"
        f'CASE = r"""{case}"""\n'
    )


def file_name(value: TestInput, found: Failure) -> str:
    """Return the name of the file a failure is kept in."""
    return re.sub(r"\W+", "_", f"test_{value.workflow}_{found.invariant}") + ".py"


def _quoted(text: str) -> str:
    return text.replace("\\", "/").replace('"', "'").rstrip("'") + "."
