"""Kinds of control: AgentWorkflow, a graph of steps written as a manifest.

The schema holds the document's fields as printed, and what a workflow needs
beyond them. Every field is described: `squad explain` and editors show it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentsquad.kernel.resource import Kind
from agentsquad.runtime.control.contract import Expressions


def agent_workflow(expressions: Expressions) -> Kind:
    """Return the kind; `expressions` checks the syntax of conditions."""

    def check(spec: Mapping[str, Any]) -> list[tuple[str, str, str]]:
        from agentsquad.runtime.control.graph import graph_findings  # loaded late

        return graph_findings(spec, expressions.problem)

    return Kind(
        name="AgentWorkflow",
        plural="agentworkflows",
        summary="A graph of steps done by agents, actions and people.",
        schema=SCHEMA,
        check=check,
    )


def text(description: str, *examples: str, **rules: Any) -> dict[str, Any]:
    """Return the schema of a string."""
    found: dict[str, Any] = {"type": "string", "description": description, **rules}
    return {**found, "examples": list(examples)} if examples else found


def record(
    description: str, properties: Mapping[str, Any], required: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return the schema of an object with exactly these properties."""
    return {
        "type": "object",
        "description": description,
        "additionalProperties": False,
        "required": list(required),
        "properties": dict(properties),
    }


def count(description: str, example: int, least: int = 1, most: int = 1_000_000) -> dict[str, Any]:
    """Return the schema of a whole number between two others."""
    return {
        "type": "integer",
        "minimum": least,
        "maximum": most,
        "description": description,
        "examples": [example],
    }


def listing(description: str, items: Mapping[str, Any], **rules: Any) -> dict[str, Any]:
    """Return the schema of a list."""
    return {"type": "array", "description": description, "items": dict(items), **rules}


DURATION = "ms, s, m, h, d and w may be combined"
RETRY_POLICY = record(
    "How a failed step is tried again. Only errors that may pass are retried.",
    {
        "maxRetries": {
            "type": "integer",
            "minimum": 0,
            "maximum": 1000,
            "description": "Tries after the first one.",
            "examples": [3],
        },
        "backoffStrategy": {
            "enum": ["exponential", "linear", "fixed"],
            "description": "How the wait grows: doubled, one initialDelay more, or not at all.",
        },
        "initialDelay": text(f"Wait before the first retry; {DURATION}.", "200ms"),
        "maxDelay": text(f"Longest wait; {DURATION}.", "30s"),
        "jitter": {
            "type": "number",
            "minimum": 0,
            "maximum": 1,
            "description": "Share by which each wait is varied by chance.",
            "examples": [0.2],
        },
        "retryOn": listing(
            "Error codes that are retried although they would not be.",
            text("An error code.", "model.limit"),
        ),
    },
)
TIMEOUT = text(f"Longest time it may take; {DURATION}.", "2h", "1h30m")
CONDITION = "a CEL expression over input, nodes, item, index and last"
ESCALATE = listing(
    "Whom it goes to when nobody answers.",
    record(
        "One rung of the ladder.",
        {
            "after": text(f"How old the question is then; {DURATION}.", "1d"),
            "roles": listing("Who may answer then.", text("A role.", "head-of-purchasing")),
            "because": text("Why it comes to them.", "nobody answered for a day"),
            "keep": {
                "type": "boolean",
                "description": "Whether those asked before may still answer; true if absent.",
            },
        },
        ("after", "roles"),
    ),
    minItems=1,
)
WITH = {
    "type": "object",
    "description": 'Input of the step. Texts may hold CEL expressions, "${input.order}"; '
    "a text that is one expression stands for its value.",
    "examples": [{"order": "${nodes.read.order}"}],
}
ACTION_NAME = r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$"
WORKFLOW_NAME = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
NODE_ID = r"^[A-Za-z]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?$"

ON_FAILURE = {
    "enum": ["fail", "wait"],
    "description": "What an action that failed for good does: fail, or wait for a person.",
}
_NODES = {
    "type": "array",
    "minItems": 1,
    "items": {"$ref": "#/$defs/node"},
    "examples": [[{"id": "extract", "agent": "matcher"}]],
}
_BODY = {
    "agent": text(
        'Body: an agent\'s turn, by name, with ":v1.2.3" bound to that version.',
        "gpt-4-agent:v1.2.3",
    ),
    "action": text(
        "Body: an action, by name.",
        "edi.check",
        pattern=ACTION_NAME,
        title="an action's name, subsystem.verb",
    ),
    "workflow": text(
        "Body: another workflow, as a run of its own.",
        "purchase-to-pay",
        pattern=WORKFLOW_NAME,
        title="a workflow's name",
    ),
    "nodes": {**_NODES, "description": "Body: a group of nodes with dependencies of their own."},
    "branch": listing(
        "Body: the first choice whose condition holds is taken, or none.",
        record(
            "One choice.",
            {
                "when": text(
                    f"Condition, {CONDITION}; only the last choice may have none.",
                    "${input.total > 10000}",
                ),
                "nodes": {**_NODES, "description": "What is done then."},
            },
            ("nodes",),
        ),
        minItems=1,
    ),
    "race": listing(
        "Body: alternatives side by side; the first that is done wins, the others are cancelled "
        "and can change nothing. The output says which, as won.",
        record(
            "One alternative.",
            {
                "name": text("What it is called.", "answer", minLength=1),
                "nodes": {**_NODES, "description": "What is done, and waited for."},
            },
            ("name", "nodes"),
        ),
        minItems=2,
    ),
    "pipeline": record(
        "Body: the elements of a list go through stages, each of which begins as soon as the one "
        "before is done with an element; what the last gives forms the output.",
        {
            "over": text("The list; an expression.", "${input.orders}"),
            "stages": {**_NODES, "description": "One node a stage; item is what came before."},
            "limit": {
                "type": "integer",
                "minimum": 1,
                "maximum": 10_000,
                "description": "Elements a stage works on at the same time; 8 if absent.",
                "examples": [4],
            },
        },
        ("over", "stages"),
    ),
    "value": {
        "description": "Body: compute something; texts may hold expressions.",
        "examples": [{"total": "${input.net + input.tax}"}],
    },
    "fail": record(
        "Body: fail here, on purpose.",
        {
            "message": text("Why; may hold expressions.", "no stock for ${input.sku}"),
            "code": text("A code that others can catch.", "order.stock", pattern=ACTION_NAME),
        },
        ("message",),
    ),
    "sleep": text(f"Body: wait this long; {DURATION}. May be an expression.", "15m"),
    "signal": text(
        "Body: wait for a signal of this name; its payload is the node's output.",
        "goods-received",
        minLength=1,
    ),
    "approval": record(
        "Body: ask a person. The answer is the node's output; a rejection fails the node.",
        {
            "roles": listing(
                "Roles whose holders may answer; never the requester.",
                text("A role.", "controller", minLength=1),
                minItems=1,
                uniqueItems=True,
            ),
            "because": text("Why it is asked, shown to the person.", "Amount ${input.total}"),
            "expires": text(f"When the question lapses; {DURATION}.", "3d"),
            "action": text(
                "Action whose exact input is approved.",
                "payments.send",
                pattern=ACTION_NAME,
                title="an action's name, subsystem.verb",
            ),
            "with": {**WITH, "description": "The input that is approved."},
            "evidence": {**WITH, "description": "What the person is shown."},
            "escalate": ESCALATE,
        },
        ("roles", "because"),
    ),
}
_NODE = record(
    "One step: exactly one body (agent, action, workflow, nodes, branch, sleep, signal or "
    "approval) and how it is done.",
    {
        "id": text(
            'Name of the node, unique in the workflow; others read nodes.ID or nodes["ID"].',
            "data-extraction",
            pattern=NODE_ID,
            title="a letter, then letters, digits, - and _",
        ),
        "description": text("What it is for.", "Read the order"),
        **_BODY,
        "task": text("What the agent is to do; may hold expressions.", "Match the lines"),
        "with": WITH,
        "dependsOn": listing(
            "Ids of nodes in the same list that must be done before it starts.",
            text("The id of a node.", "data-extraction"),
            uniqueItems=True,
        ),
        "when": text(f"Done only if it holds, else skipped: {CONDITION}.", "${nodes.match.ok}"),
        "foreach": text(
            "Done once for each element of this list, as item, with index; outputs form a list.",
            "${input.orders}",
        ),
        "limit": {
            "type": "integer",
            "minimum": 1,
            "maximum": 10_000,
            "description": "How many elements of foreach are worked on at the same time.",
            "examples": [8],
        },
        "parallelism": {
            "type": "integer",
            "minimum": 1,
            "maximum": 10_000,
            "description": "How many copies of the step may run at the same time.",
            "examples": [5],
        },
        "loop": record(
            "Repeat the step; the last round's output is its output, and last in the next round.",
            {
                "while": text(f"Another round while it holds: {CONDITION}.", "${last.open > 0}"),
                "max": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": 100_000,
                    "description": "Rounds after which the node fails.",
                    "examples": [10],
                },
                "stall": {
                    "type": "integer",
                    "minimum": 1,
                    "description": "Fails when so many rounds in a row changed nothing.",
                    "examples": [3],
                },
            },
            ("while", "max"),
        ),
        "retryPolicy": RETRY_POLICY,
        "timeout": TIMEOUT,
        "escalate": {**ESCALATE, "description": "Who is told when a signal does not come."},
        "onFailure": ON_FAILURE,
        "catch": record(
            "What is done instead when the step failed for good; error is known there.",
            {
                "codes": listing(
                    "Only these errors; all without it.", text("An error code.", "order.stock")
                ),
                "nodes": {**_NODES, "description": "What is done then."},
            },
            ("nodes",),
        ),
        "compensate": record(
            "What undoes the step when the run fails or is cancelled; in reverse order.",
            {
                "action": text(
                    "The undoing action.",
                    "stock.release",
                    pattern=ACTION_NAME,
                    title="an action's name, subsystem.verb",
                ),
                "with": {**WITH, "description": "Its input; nodes.ID is what was done."},
            },
            ("action",),
        ),
    },
    ("id",),
)

SCHEMA: Mapping[str, Any] = {
    **record(
        "A graph of steps done by agents, actions and people.",
        {
            "description": text("What the workflow is for.", "Read and process the day's data"),
            "graph": record(
                "The steps and what each waits for.",
                {"nodes": {**_NODES, "description": "The steps; order does not matter."}},
                ("nodes",),
            ),
            "schedule": text(
                "When it starts by itself: cron, five fields, or six with seconds first.",
                "0 */6 * * *",
            ),
            "timezone": text("IANA zone the schedule is in; UTC if absent.", "Europe/Berlin"),
            "schedulePolicy": record(
                "What is done about due times that nobody saw, or that come too early.",
                {
                    "missed": {
                        "enum": ["last", "all", "skip"],
                        "description": "Which missed due times are made up for; last if absent.",
                    },
                    "within": text(f"None older than this; {DURATION}; 1d if absent.", "6h"),
                    "overlap": {
                        "enum": ["allow", "skip", "queue", "cancel"],
                        "description": "While the run before is open: begin beside it, leave the "
                        "due time out, wait, or cancel that run; allow if absent.",
                    },
                },
            ),
            "retryPolicy": {
                **RETRY_POLICY,
                "description": "How failed steps are tried again, unless a node says otherwise.",
            },
            "timeout": {
                **TIMEOUT,
                "description": f"Longest time a run may take; {DURATION}.",
            },
            "input": {
                "type": "object",
                "description": "JSON Schema of the input a run is started with.",
                "examples": [{"type": "object"}],
            },
            "output": {
                "type": "object",
                "description": "JSON Schema of what a run returns.",
                "examples": [{"type": "object"}],
            },
            "onFailure": {**ON_FAILURE, "description": "Of every action that says nothing else."},
            "queries": {
                "type": "object",
                "description": "What a run answers to those who ask, by name; texts may hold "
                "expressions, also over what is asked, as update.",
                "examples": [{"open": "${size(nodes)}"}],
            },
            "updates": {
                "type": "object",
                "description": "What a run lets itself be told, by name.",
                "additionalProperties": record(
                    "One update; what it says is update.",
                    {
                        "when": text(
                            f"Refused unless it holds; {CONDITION}, update.", "update > 0"
                        ),
                        "nodes": {**_NODES, "description": "What is done then."},
                        "result": {"description": "The answer; else the outputs of the nodes."},
                    },
                    ("nodes",),
                ),
            },
            "continueAsNew": record(
                "Go on as a new run with a short history instead of ending.",
                {
                    "when": text(f"Only if it holds; {CONDITION}.", "${nodes.poll.more}"),
                    "input": {"description": "Input of the new run; else the same."},
                },
                ("when",),
            ),
            "result": {
                "description": "What a run returns; texts may hold expressions. Without it, the "
                "outputs of the nodes nothing depends on, by id.",
                "examples": [{"total": "${nodes.sum.total}"}],
            },
        },
        ("graph",),
    ),
    "$defs": {"node": _NODE},
}
