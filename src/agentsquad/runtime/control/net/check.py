"""Checking a file: what it holds, the verdict on each net, and all in one."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import msgspec

from agentsquad.kernel.resource import Kind
from agentsquad.runtime.control.contract import Expressions
from agentsquad.runtime.control.net.bounds import Bounds
from agentsquad.runtime.control.net.contract import (
    CheckOutput,
    ModelError,
    NetFileError,
    NetVerdict,
    Simulation,
)
from agentsquad.runtime.control.net.flow import Flow, judge_flow
from agentsquad.runtime.control.net.judge import Judge
from agentsquad.runtime.control.net.manifest import constant_by, manifest_flow
from agentsquad.runtime.control.net.petri import Net
from agentsquad.runtime.control.net.pnml import read_nets
from agentsquad.runtime.control.net.simulate import Model, as_flow, simulate

N = TypeVar("N", Net, Flow)
WORKFLOW = "AgentWorkflow"


class Language(NamedTuple):
    """What workflows are written in: kinds of resources, expressions, and
    the texts of files that Python files import."""

    kinds: Mapping[str, Kind]
    expressions: Expressions
    imported: Callable[[str], str | None] = lambda path: None


class Asked(NamedTuple):
    """What is asked for besides the verdicts."""

    pnml: bool = False
    simulate: bool = False
    model: str = ""
    cases: int = 2_000
    seed: int = 1


class Limits(NamedTuple):
    """How long each net may be searched, and which is asked about."""

    clock: Callable[[], float]
    seconds: float
    states: int
    net: str | None = None

    def bounds(self) -> Bounds:
        """Return bounds that begin now."""
        return Bounds(self.clock, self.seconds, self.states)


def check(
    file: str, data: bytes, limits: Limits, language: Language, asked: Asked
) -> tuple[CheckOutput, bytes]:
    """Return what is known of the nets or workflows of a file, and they
    themselves as PNML if that was asked for."""
    kind = kind_of(file, data)
    flows: Sequence[Flow | None]
    if kind == "pnml":
        nets = chosen(read_nets(data, file), file, limits)
        verdicts = [Judge(net, limits.bounds()).judge() for net in nets]
        flows = [as_flow(net, file) for net in nets] if asked.simulate else []
    else:
        compiled_flows = chosen(compiled(file, data, kind, language), file, limits)
        verdicts = [judge_flow(flow, limits.bounds()) for flow in compiled_flows]
        flows, nets = compiled_flows, [flow.net for flow in compiled_flows]
    found = summed(file, kind, verdicts)
    if asked.simulate:
        simulations = {flow.net.id: _simulated(flow, asked) for flow in flows if flow is not None}
        if not simulations:
            raise ModelError(
                f"{file} has no workflow net: one place to begin in, one to end in",
                hint="simulate a manifest, a Python workflow or a workflow net",
            )
        found = msgspec.structs.replace(found, simulations=simulations)
    return found, _document(nets, file) if asked.pnml else b""


def _document(nets: Sequence[Net], file: str) -> bytes:
    from agentsquad.runtime.control.net.export import written

    for net in nets:
        if net.unsupported is not None:
            raise ModelError(
                f"{file}: net {net.id!r} cannot be written: {net.unsupported}",
                hint="only place/transition nets can be written",
            )
    return written(nets)


def _simulated(flow: Flow, asked: Asked) -> Simulation:
    from agentsquad.kernel import manifest

    documents = manifest.read(asked.model, "model") if asked.model.strip() else []
    value = documents[0].value if documents else {}
    try:
        model = msgspec.convert(value, Model)
    except msgspec.ValidationError as error:
        raise ModelError(
            f"the model is not valid: {error}",
            hint="see the page on checking a workflow for its fields",
        ) from None
    return simulate(flow, model, asked.cases, asked.seed)


def compiled(file: str, data: bytes, kind: str, language: Language) -> list[Flow]:
    """Return the workflows of a manifest or a Python file as nets."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise NetFileError(
            f"not UTF-8 text (byte {error.start})", file=file, line=1, hint="save it as UTF-8"
        ) from None
    if kind == "python":
        from agentsquad.runtime.control.net.coroutine import python_flows

        return python_flows(text, file, language.imported)
    return manifest_flows(text, file, language)


def kind_of(file: str, data: bytes) -> str:
    """Return pnml, python or manifest, by the name or else by the content."""
    name = file.lower()
    if name.endswith((".pnml", ".xml", ".epnml", ".apnml")):
        return "pnml"
    if name.endswith(".py"):
        return "python"
    if name.endswith((".yaml", ".yml", ".json")):
        return "manifest"
    head = data[:4096].lstrip(b"\xef\xbb\xbf \t\r\n")
    if head.startswith((b"<", b"\xff\xfe", b"\xfe\xff")):
        return "pnml"
    if b"async def " in data:
        return "python"
    return "manifest"


def manifest_flows(text: str, file: str, language: Language) -> list[Flow]:
    """Return the workflows of a manifest; other resources are passed over.

    A circle of dependencies, or one on a node that is not there, is no error
    here: the net shows that the run waits for ever.
    """
    from agentsquad.kernel import manifest
    from agentsquad.runtime.control.kinds import agent_workflow

    kinds = {**language.kinds, WORKFLOW: agent_workflow(language.expressions)}
    documents = manifest.read(text, file)
    errors = [
        error
        for document in documents
        for error in manifest.check(document, kinds)
        if not re.search(r"\.dependsOn(\[\d+\])?\Z", error["path"])
    ]
    if errors or not documents:
        # Raises what is wrong, nothing included, as applying would.
        raise manifest.ManifestError(errors) if errors else _nothing(file)
    constant = constant_by(language.expressions.evaluate)
    flows = [
        manifest_flow(
            document.value["metadata"]["name"],
            document.value["spec"],
            constant,
            file,
            lambda pointer, document=document: document.line_of(f"/spec{pointer}"),  # type: ignore[misc]
        )
        for document in documents
        if document.value["kind"] == WORKFLOW
    ]
    if not flows:
        raise _nothing(file)
    return flows


def _nothing(file: str) -> NetFileError:
    return NetFileError(
        "there is no workflow in it", file=file, line=1, hint=f"give a file with an {WORKFLOW}"
    )


def chosen(nets: Sequence[N], file: str, limits: Limits) -> Sequence[N]:
    """Return the nets or workflows that are asked about."""
    if limits.net is None:
        return nets
    names = [net.net if isinstance(net, Flow) else net for net in nets]
    found = [one for one, net in zip(nets, names, strict=True) if limits.net in (net.id, net.name)]
    if not found:
        known = ", ".join(net.id for net in names)
        raise NetFileError(f"no net {limits.net!r}", file=file, line=1, hint=f"there is: {known}")
    return found


def summed(file: str, kind: str, verdicts: Sequence[NetVerdict]) -> CheckOutput:
    """Return the verdicts on several nets as one."""
    first = next((one for one in verdicts if one.deadlock), verdicts[0])
    reasons = {
        _named(verdicts, one, question): why
        for one in verdicts
        for question, why in one.reasons.items()
    }
    methods = {one.methods[q] for one in verdicts for q in one.methods if q == "deadlock"}
    return CheckOutput(
        file=file,
        kind=kind,
        deadlock=_any([one.deadlock for one in verdicts]),
        witness=first.witness,
        unbounded=_joined(verdicts, [one.unbounded for one in verdicts]),
        dead=_joined(verdicts, [one.dead for one in verdicts]),
        bounded=_all([one.bounded for one in verdicts]),
        safe=_all([one.safe for one in verdicts]),
        live=_all([one.live for one in verdicts]),
        states=sum(one.states for one in verdicts),
        seconds=round(sum(one.seconds for one in verdicts), 3),
        method="; ".join(sorted(methods)),
        reason=next(iter(reasons.values()), None),
        reasons=reasons,
        findings=[finding for one in verdicts for finding in one.findings],
        nets=list(verdicts),
    )


def _named(verdicts: Sequence[NetVerdict], one: NetVerdict, name: str) -> str:
    return name if len(verdicts) == 1 else f"{one.net}/{name}"


def _joined(verdicts: Sequence[NetVerdict], lists: Sequence[list[str] | None]) -> list[str] | None:
    found: list[str] = []
    for one, names in zip(verdicts, lists, strict=True):
        if names is None:
            return None
        found += [_named(verdicts, one, name) for name in names]
    return found


def _any(answers: Sequence[bool | None]) -> bool | None:
    return True if True in answers else None if None in answers else False


def _all(answers: Sequence[bool | None]) -> bool | None:
    return False if False in answers else None if None in answers else True
