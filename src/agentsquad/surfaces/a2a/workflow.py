"""The task: work that an agent of another system asked for, as a run.

It lets an agent take its turn, or runs a workflow. An agent that answers with
`inputRequired` asks back; the task then waits for a further message.
"""

from __future__ import annotations

from typing import Any

from agentsquad.runtime.engine.contract import WorkflowContext, workflow
from agentsquad.surfaces.a2a.contract import MESSAGE, WORKFLOW, TaskInput
from agentsquad.surfaces.a2a.parts import with_files

ASKS = "inputRequired"  # in an agent's answer: what it needs to know
ROUNDS = 20


@workflow(WORKFLOW, input=TaskInput, version="1")
async def a2a_task(ctx: WorkflowContext, value: TaskInput) -> Any:
    """Do what a message asks for."""
    kind, _, name = value.skill.partition(":")
    text, data = said(value.message)
    if kind == "workflow":
        return await ctx.run(name, data)
    talk: list[str] = []
    answer: Any = None
    for _ in range(ROUNDS):
        task = "\n\n".join([*talk, text]) if text else None
        answer = await ctx.run("agent-turn", {"agent": name, "input": data, "task": task})
        if not (isinstance(answer, dict) and isinstance(answer.get(ASKS), str)):
            return answer
        talk += [text, f"You asked: {answer[ASKS]}"]
        more = await ctx.signal(MESSAGE)
        text, further = said(more)
        data = further if further is not None else data
    return answer


def said(message: Any) -> tuple[str, Any]:
    """Return the text of a message, and its data, the files that came along in
    it."""
    text, data = words(message)
    return text, with_files(data, message.get("parts", []) if isinstance(message, dict) else [])


def words(message: Any) -> tuple[str, Any]:
    """Return the text of a message, and its data: of one part as it is, of
    several as a list."""
    parts = message.get("parts", []) if isinstance(message, dict) else []
    texts = [part["text"] for part in parts if isinstance(part.get("text"), str)]
    data = [part["data"] for part in parts if "data" in part]
    return "\n".join(texts), data[0] if len(data) == 1 else data or None
