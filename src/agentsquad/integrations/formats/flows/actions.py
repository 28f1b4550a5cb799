"""The action that reads flows of other languages."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from agentsquad.integrations.formats.contract import FileReader
from agentsquad.integrations.formats.flows import bpmn, serverless
from agentsquad.integrations.formats.flows.contract import FlowFileError, Imported, NotTaken
from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.context import Context
from agentsquad.kernel.errors import InvalidError

SIZE_MAX = 16 << 20  # bytes


class ImportInput(msgspec.Struct, kw_only=True):
    """Which file, and what its tasks are."""

    file: Annotated[
        str,
        Meta(
            description="a BPMN 2.0 file, or a Serverless Workflow (DSL 1.0) in YAML or JSON",
            examples=["order.bpmn"],
        ),
    ]
    map: Annotated[
        tuple[str, ...],
        Meta(
            description="which action a task or a call stands for, as NAME=ACTION",
            examples=[["charge-card=payments.send"]],
        ),
    ] = ()


class Flow(msgspec.Struct, kw_only=True):
    """One workflow that was read: `complete` when it does all that the
    original did, and what was not taken over."""

    language: str
    name: str
    complete: bool
    resource: dict[str, Any]
    not_taken: tuple[NotTaken, ...]


class Flows(msgspec.Struct, kw_only=True):
    """Every workflow of a file."""

    items: tuple[Flow, ...]

    @property
    def exit_code(self) -> int:
        """1 when something has no equivalent that the flow does not do
        without."""
        return 0 if all(one.complete for one in self.items) else 1


@action(
    "flows.import",
    effect=Effect.READ,
    cli=("import",),
    positional=("file",),
    examples=(
        "squad import order.bpmn > order.yaml",
        "squad import flow.yaml --map charge=payments.send -o json",
    ),
    files={"file": "in"},
)
async def import_flow(ctx: Context, value: ImportInput) -> Flows:
    """Read a workflow of another language as manifests of ours.

    Prints the manifests, to be looked at and applied, and what was not taken
    over, with its place. Where the flow cannot do without it, a node that fails
    stands in its place, and the exit code is 1.
    """
    data = ctx.port(FileReader).read(value.file, SIZE_MAX)  # type: ignore[type-abstract]
    actions = mapping(value.map)
    start = data.lstrip()[:1]
    if start == b"<" or data.startswith((b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf<")):
        found = bpmn.imported(data, value.file, actions)
    else:
        found = [serverless.imported(read(data, value.file), actions)]
    return Flows(items=tuple(_flow(one) for one in found))


def _flow(one: Imported) -> Flow:
    return Flow(
        language=one.language,
        name=one.name,
        complete=one.complete,
        resource=one.resource,
        not_taken=one.not_taken,
    )


def mapping(pairs: tuple[str, ...]) -> dict[str, str]:
    """Return what NAME=ACTION pairs say."""
    found = {}
    for pair in pairs:
        name, sign, what = pair.rpartition("=")
        if not sign or not name or not what:
            raise InvalidError(
                f"{pair!r} is no mapping", code="flow.map", hint="e.g. --map charge=payments.send"
            )
        found[name] = what
    return found


def read(data: bytes, file: str) -> Any:
    """Return the YAML or JSON of a file; FlowFileError names the line."""
    import yaml

    try:
        return yaml.safe_load(data)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{file}:{mark.line + 1}" if mark is not None else file
        raise FlowFileError(
            f"{where}: neither XML nor YAML: {getattr(error, 'problem', None) or error}",
            hint="a .bpmn file, or a Serverless Workflow in YAML or JSON",
        ) from error
