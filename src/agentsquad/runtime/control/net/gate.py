"""The gate before a first run: workflows that are proven to get stuck are not
taken.

Looks at few markings and at no clock, so that the same manifest is always told
the same, within milliseconds. What it cannot decide so quickly passes; `squad
check` takes longer. An annotation of the manifest opens the gate.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec

from agentsquad.kernel.hashing import digest
from agentsquad.runtime.control.contract import ExpressionError, Expressions
from agentsquad.runtime.control.net.bounds import Bounds
from agentsquad.runtime.control.net.contract import Finding, WorkflowStuckError
from agentsquad.runtime.control.net.flow import Flow, judge_flow
from agentsquad.runtime.control.net.manifest import constant_by, manifest_flow

ANNOTATION = "agentsquad.dev/check"
OFF = "off"
STATES = 3_000
REFUSED = ("deadlock", "dead")


def refuse_stuck(resource: Mapping[str, Any], expressions: Expressions | None = None) -> None:
    """Raise WorkflowStuckError for an AgentWorkflow that is proven to get
    stuck, or to have steps that never run.

    Without `expressions` only conditions written as plain true or false are
    constant.
    """
    metadata = resource["metadata"]
    if metadata.get("annotations", {}).get(ANNOTATION) == OFF:
        return
    name, spec = metadata["name"], resource["spec"]
    if expressions is None:
        found = _by_digest(digest({"name": name, "spec": spec}), _Kept(name, spec))
    else:
        found = wrong(manifest_flow(name, spec, constant_by(expressions.evaluate)))
    if not found:
        return
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    raise WorkflowStuckError(
        f"workflow {name!r}: {found[0].message}{more}",
        hint=f"squad check FILE shows how; metadata.annotations {ANNOTATION}: "
        f'"{OFF}" takes it all the same',
        details={"findings": msgspec.to_builtins(found)},
    )


def wrong(flow: Flow) -> tuple[Finding, ...]:
    """Return what keeps a flow from being taken."""
    bounds = Bounds(lambda: 0.0, 1.0, STATES)
    verdict = judge_flow(flow, bounds, quick=True)
    return tuple(finding for finding in verdict.findings if finding.code in REFUSED)


class _Kept:
    """A manifest beside its digest, which alone says whether it is the
    same."""

    def __init__(self, name: str, spec: Mapping[str, Any]) -> None:
        self.name = name
        self.spec = spec

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Kept)

    def __hash__(self) -> int:
        return 0


@lru_cache(maxsize=512)
def _by_digest(key: str, kept: _Kept) -> tuple[Finding, ...]:
    return wrong(manifest_flow(kept.name, kept.spec, constant_by(_literal)))


def _literal(text: str, names: Mapping[str, Any]) -> bool:
    if text in ("true", "false"):
        return text == "true"
    raise ExpressionError(f"{text!r} is not plainly true or false")
