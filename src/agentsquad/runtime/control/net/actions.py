"""The action of checks before a first run.

Readers, compilers and searches are imported when it runs, so that listing
actions stays quick.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.context import Context
from agentsquad.kernel.ports import Clock
from agentsquad.kernel.registry import Registry
from agentsquad.runtime.control.contract import Expressions
from agentsquad.runtime.control.net.contract import (
    CheckOutput,
    NetFile,
    NetMissingError,
    NetUnreadableError,
)


class CheckInput(msgspec.Struct, frozen=True, kw_only=True):
    """What to check, and how long."""

    file: Annotated[
        str,
        Meta(
            description="a workflow manifest (YAML, JSON), a Python file with workflows, or a "
            "PNML file with nets; - is standard input",
            min_length=1,
            examples=["flow.yaml"],
        ),
    ]
    seconds: Annotated[
        float, Meta(description="give up searching after so many seconds a net", gt=0)
    ] = 30.0
    states: Annotated[int, Meta(description="give up a search after so many markings", ge=1)] = (
        3_000_000
    )
    net: Annotated[
        str | None, Meta(description="only the net or workflow of this name", examples=["n1"])
    ] = None
    pnml: Annotated[
        str | None, Meta(description="write the nets to this PNML file", examples=["flow.pnml"])
    ] = None
    simulate: Annotated[
        bool, Meta(description="simulate workflows too: times, waits and the bottleneck")
    ] = False
    model: Annotated[
        str | None,
        Meta(
            description="YAML file with arrivals, durations and resources to simulate",
            examples=["model.yaml"],
        ),
    ] = None
    cases: Annotated[int, Meta(description="how many cases to simulate", ge=20)] = 2_000
    seed: Annotated[int, Meta(description="seed of the simulation")] = 1


@action(
    "workflows.check",
    effect=Effect.READ,
    cli=("check",),
    positional=("file",),
    examples=(
        "squad check flow.yaml",
        "squad check net.pnml --seconds 60 -o json",
        "squad check flow.yaml --simulate --model model.yaml",
        "squad check flow.py --pnml flow.pnml",
    ),
    files={"file": "in", "model": "in", "pnml": "out"},
)
def check_file(ctx: Context, value: CheckInput) -> CheckOutput:
    """Check whether workflows or Petri nets can get stuck.

    Deadlock: a marking can be reached in which nothing is enabled; the proper
    end of a workflow is none, in a PNML net every such marking is one.
    Unbounded: a place can hold any number of tokens. Dead: a step or
    transition can never happen. Each answer comes with a firing sequence or
    the way it was proven, or is null with a reason. The exit code is 0 when
    nothing is wrong, 1 when something is, 10 when a bound was reached before
    it was known, 2 when the file is not valid. With `simulate` cases go through
    the workflow, for how long they take and who is short of time.
    """
    from agentsquad.runtime.control.net.check import Asked, Language, Limits, check

    clock = ctx.port(Clock)  # type: ignore[type-abstract]
    files = ctx.port(NetFile)  # type: ignore[type-abstract]

    def imported(path: str) -> str | None:
        try:
            return files.read(path).decode("utf-8")
        except (NetMissingError, NetUnreadableError, UnicodeDecodeError):
            return None

    data = files.read(value.file)
    limits = Limits(clock.monotonic_ms, value.seconds, value.states, value.net)
    expressions = ctx.port(Expressions)  # type: ignore[type-abstract]
    language = Language(ctx.port(Registry).kinds, expressions, imported)
    asked = Asked(
        pnml=value.pnml is not None,
        simulate=value.simulate or value.model is not None,
        model="" if value.model is None else files.read(value.model).decode("utf-8", "replace"),
        cases=value.cases,
        seed=value.seed,
    )
    found, document = check(value.file, data, limits, language, asked)
    if value.pnml is None:
        return found
    files.write(value.pnml, document)
    return msgspec.structs.replace(found, written=value.pnml)
