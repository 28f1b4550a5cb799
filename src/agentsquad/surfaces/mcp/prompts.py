"""Prompts: questions worth asking about this installation, with the facts they
need already in them.

Each is made of resources that the caller may read; those come along embedded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from agentsquad.kernel.jsonrpc import PARAMS, RpcError
from agentsquad.kernel.registry import nearest
from agentsquad.surfaces.gateway.contract import Caller, Gateway
from agentsquad.surfaces.mcp import resources


class Argument(msgspec.Struct, frozen=True, kw_only=True):
    """One thing a prompt is told; `of` says what it may be completed from."""

    name: str
    description: str
    of: str = ""
    required: bool = True


class Prompt(msgspec.Struct, frozen=True, kw_only=True):
    """One prompt: its words, with `{argument}` in them, and the addresses of
    what is embedded."""

    name: str
    title: str
    description: str
    text: str
    arguments: tuple[Argument, ...] = ()
    embedded: tuple[str, ...] = ()


_RUN = Argument(name="run", description="id of the run", of="runs")

PROMPTS = (
    Prompt(
        name="explain-run",
        title="Explain a run",
        description="What a run did, step by step, and why it ended as it did",
        arguments=(_RUN,),
        embedded=("squad://runs/{run}", "squad://runs/{run}/why"),
        text=(
            "Explain run {run} to somebody who was not there. Say what it was for, what it did in "
            "which order, what it cost, and why it ended as it did. Name the events that prove "
            "each claim; claim nothing that they do not show."
        ),
    ),
    Prompt(
        name="review-approval",
        title="Review a question before a person answers it",
        description="What speaks for and against a question that waits in the inbox",
        arguments=(
            Argument(name="item", description="id of the question, from the inbox", of="inbox"),
        ),
        embedded=("squad://inbox",),
        text=(
            "A person has to decide question {item} of the inbox. Lay out what exactly would be "
            "done, on which evidence, what speaks for it and what against, and what you could not "
            "check. Do not decide: only the person may approve or reject."
        ),
    ),
    Prompt(
        name="compare-runs",
        title="Compare two runs",
        description="Where two runs of a workflow part, and what made the difference",
        arguments=(
            Argument(name="run", description="id of the one run", of="runs"),
            Argument(name="other", description="id of the other run", of="runs"),
        ),
        embedded=("squad://runs/{run}", "squad://runs/{other}"),
        text=(
            "Compare runs {run} and {other}. Name the first step at which they part, what was "
            "different in its input, and what followed from it, in outcome and in cost."
        ),
    ),
    Prompt(
        name="write-agent",
        title="Write an agent",
        description="A manifest for an agent that does a described work",
        arguments=(Argument(name="work", description="what the agent is to do"),),
        embedded=("squad://kinds/Agent",),
        text=(
            "Write a manifest of kind Agent that does this work: {work}. Follow the shape of the "
            "agents that there are. Give it only the tools that the work needs, an outputSchema, "
            "and instructions that say what it must not do. Check it with resources.apply and "
            "`plan` before you propose it."
        ),
    ),
)  # fmt: skip
_BY_NAME = {prompt.name: prompt for prompt in PROMPTS}


def listed() -> list[dict[str, Any]]:
    """Return the prompts that can be had."""
    return [
        {
            "name": prompt.name,
            "title": prompt.title,
            "description": prompt.description,
            "arguments": [
                {"name": one.name, "description": one.description, "required": one.required}
                for one in prompt.arguments
            ],
        }
        for prompt in PROMPTS
    ]


def named(name: Any) -> Prompt:
    """Return a prompt."""
    found = _BY_NAME.get(name) if isinstance(name, str) else None
    if found is None:
        hint = nearest(str(name)[:100], _BY_NAME) or ""
        raise RpcError(f"no prompt {str(name)[:100]!r}; {hint}".rstrip("; "), number=PARAMS)
    return found


async def made(
    gateway: Gateway, caller: Caller, name: Any, arguments: Mapping[str, Any]
) -> dict[str, Any]:
    """Return a prompt with its arguments put in and its facts embedded."""
    prompt = named(name)
    told: dict[str, str] = {}
    for one in prompt.arguments:
        value = arguments.get(one.name)
        if value is None and not one.required:
            continue
        if not isinstance(value, str) or not value.strip():
            raise RpcError(f"{prompt.name} needs {one.name}: {one.description}", number=PARAMS)
        told[one.name] = value
    messages = [_said({"type": "text", "text": prompt.text.format_map(told)})]
    addresses = {key: quote(value, safe="") for key, value in told.items()}
    for uri in prompt.embedded:
        contents = await resources.read(gateway, caller, uri.format_map(addresses))
        messages.append(_said({"type": "resource", "resource": contents}))
    return {"description": prompt.description, "messages": messages}


def _said(content: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": content}
