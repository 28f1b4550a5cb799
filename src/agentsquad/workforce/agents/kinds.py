"""Kinds of agents: Agent, AgentGroup and ModelProvider.

The schemas hold the document's fields as printed, and what an agent needs
beyond them. Quantities are read by `runtime/control/quantity.py`; every field
is described, for `squad explain` and for editors.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from agentsquad.kernel.resource import SENSITIVE, Kind
from agentsquad.runtime.control.kinds import ACTION_NAME, listing, record, text
from agentsquad.runtime.control.quantity import (
    Finding,
    cost,
    cpu_millis,
    duration_ms,
    findings,
    gpus,
    percent,
    size_bytes,
    version_range,
)

TOOL_NAME = rf"({ACTION_NAME})|(^[a-z0-9]([a-z0-9-]{{0,61}}[a-z0-9])?/[^\s]{{1,128}}$)"
_TRAIT = {"type": "number", "minimum": 0, "maximum": 1, "examples": [0.7]}
_VERSION = r"^v?(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*)){0,2}(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$"

_PERSONALITY = record(
    "Who it is; put into its prompt. Traits are the Big Five, from 0 to 1.",
    {
        "openness": {**_TRAIT, "description": "Looks for unusual explanations."},
        "conscientiousness": {**_TRAIT, "description": "Checks every detail."},
        "extraversion": {**_TRAIT, "description": "Says what it thinks unasked."},
        "agreeableness": {**_TRAIT, "description": "Seeks what both sides accept."},
        "neuroticism": {**_TRAIT, "description": "Mentions what may go wrong."},
        "riskTolerance": {
            "enum": ["conservative", "moderate", "aggressive"],
            "description": "What it does when in doubt.",
        },
        "communicationStyle": {
            "enum": ["formal", "casual", "technical"],
            "description": "How it writes.",
        },
        "learningRate": {
            "enum": ["fast", "moderate", "slow"],
            "description": "How much recent experience weighs.",
        },
    },
)

_DOCUMENT = {
    "type": {
        "enum": ["gpt-4-agent", "claude-agent", "custom-agent", "rules-agent", "local-agent"],
        "description": "What sort of agent it is.",
    },
    "version": text(
        "Its version, by semantic versioning.", "1.2.3", pattern=_VERSION, title="a version"
    ),
    "resources": record(
        "What one running copy needs.",
        {
            "cpu": {
                "type": ["string", "number"],
                "description": 'Processors: "2000m" are two.',
                "examples": ["2000m"],
            },
            "memory": text("Memory, with Ki, Mi, Gi or k, M, G.", "4Gi"),
            "gpu": {
                "type": ["string", "integer"],
                "description": "Graphics processors, with their resource name.",
                "examples": ["nvidia.com/gpu: 1"],
            },
        },
    ),
    "dependencies": listing(
        "Systems it needs.",
        record(
            "One system.",
            {
                "name": text("What it is called here.", "database", minLength=1),
                "type": text("What sort of system it is.", "postgresql", minLength=1),
                "version": text("Which versions are good.", ">=13.0"),
            },
            ("name", "type"),
        ),
    ),
    "compliance": record(
        "Under which rules it works.",
        {
            "tags": listing(
                "Rules it keeps.",
                text("A rule.", "pii-safe", pattern="^[a-z0-9][a-z0-9._-]*$", title="a tag"),
                uniqueItems=True,
            ),
            "dataClassification": {
                "enum": ["public", "internal", "confidential", "restricted"],
                "description": "The most sensitive data it may be given.",
            },
        },
    ),
    "sla": record(
        "What is promised of it.",
        {
            "availability": text("Share of the time it answers.", "99.9%"),
            "maxLatency": text("Longest time to an answer.", "500ms"),
            "maxCost": text("Most it may cost in a period.", "$1000/month"),
        },
    ),
}
_BEYOND = {
    "role": text("Who it is, after “You are”.", "a clerk who matches invoices to orders"),
    "instructions": text("What it must know and obey.", "Compare line by line."),
    "tools": listing(
        "Actions it may call, and tools of other systems: SERVER/TOOL, or SERVER/* for all.",
        text(
            "An action, or a pinned tool.",
            "edi.check",
            "tracker/search",
            pattern=TOOL_NAME,
            title="an action's name, subsystem.verb, or SERVER/TOOL",
        ),
        uniqueItems=True,
    ),
    "inputSchema": {"type": "object", "description": "JSON Schema of what it is given."},
    "outputSchema": {"type": "object", "description": "JSON Schema every answer must fit."},
    "model": text(
        'Which model answers, "provider/model" or a name a provider lists; "rules" are rules.',
        "openai/gpt-4",
        "rules",
        minLength=1,
    ),
    "temperature": {
        "type": "number",
        "minimum": 0,
        "maximum": 2,
        "description": "How freely the model words its answers.",
        "examples": [0],
    },
    "maxTokens": {
        "type": "integer",
        "minimum": 1,
        "description": "Most tokens in one answer.",
        "examples": [1024],
    },
    "seed": {
        "type": "integer",
        "minimum": 0,
        "description": "Seed of the model's chance, where it takes one.",
        "examples": [7],
    },
    "memory": record(
        "What it remembers of earlier turns.",
        {
            "kind": {
                "enum": ["none", "run"],
                "description": "Nothing, or its answers in earlier turns of the same run.",
            },
            "limit": {
                "type": "integer",
                "minimum": 1,
                "maximum": 1000,
                "description": "How many answers.",
                "examples": [5],
            },
        },
        ("kind",),
    ),
    "personality": _PERSONALITY,
    "fallback": text(
        "The agent that takes the turn when the model cannot be had.",
        "careful-clerk",
        minLength=1,
    ),
}

_GROUP: Mapping[str, Any] = record(
    "Agents that are scaled together.",
    {
        "selector": record(
            "Which agents belong to it.",
            {
                "matchLabels": {
                    "type": "object",
                    "minProperties": 1,
                    "additionalProperties": {"type": "string"},
                    "description": "Labels an agent must all have.",
                    "examples": [{"team": "finance"}],
                }
            },
            ("matchLabels",),
        ),
        "scaling": record(
            "How many copies run.",
            {
                "minReplicas": {
                    "type": "integer",
                    "minimum": 0,
                    "description": "Fewest copies.",
                    "examples": [2],
                },
                "maxReplicas": {
                    "type": "integer",
                    "minimum": 1,
                    "description": "Most copies.",
                    "examples": [20],
                },
                "metrics": listing(
                    "What the number of copies follows; the highest wish wins.",
                    record(
                        "One measure.",
                        {
                            "type": {
                                "enum": ["cpu", "memory", "custom"],
                                "description": "Which sort of measure.",
                            },
                            "metric": text("Name of a custom measure.", "queue_depth", minLength=1),
                            "target": {
                                "type": ["string", "number"],
                                "description": "Wanted value: a share, or a number a copy.",
                                "examples": ["70%", "100"],
                            },
                        },
                        ("type", "target"),
                    ),
                ),
            },
            ("minReplicas", "maxReplicas"),
        ),
    },
    ("selector",),
)

_PROVIDER: Mapping[str, Any] = record(
    "Where models are asked, with which key, at which rate and price.",
    {
        "protocol": {
            "enum": ["openai", "anthropic", "bedrock", "local"],
            "description": "The language it speaks; told from the rest if absent.",
        },
        "endpoint": text(
            "Address of its interface.",
            "https://api.openai.com/v1",
            pattern="^https?://[^\\s/]+",
            title="a web address",
        ),
        "region": text(
            "AWS region, for Bedrock.",
            "us-west-2",
            pattern="^[a-z]{2}(-[a-z]+)+-[0-9]+$",
            title="an AWS region",
        ),
        "authentication": text(
            "How it is authenticated: a scheme or header with the secret's variable, or "
            '"aws-iam-role". The secret itself never stands here.',
            "Bearer ${OPENAI_API_KEY}",
            "x-api-key: ${ANTHROPIC_API_KEY}",
            "aws-iam-role",
            **{SENSITIVE: True},
        ),
        "models": listing(
            "Models it may be asked for.",
            text("A model's name there.", "gpt-4", minLength=1),
            minItems=1,
            uniqueItems=True,
        ),
        "rateLimits": record(
            "How fast it may be asked; what is absent is not limited.",
            {
                "requestsPerMinute": {
                    "type": "integer",
                    "minimum": 1,
                    "description": "Requests a minute.",
                    "examples": [3500],
                },
                "tokensPerMinute": {
                    "type": "integer",
                    "minimum": 1,
                    "description": "Tokens a minute, in and out.",
                    "examples": [90000],
                },
            },
        ),
        "costTracking": record(
            "What it costs; overrides the shipped price list.",
            {
                "inputTokenCost": {
                    "type": "number",
                    "minimum": 0,
                    "description": "Price of 1,000 tokens in.",
                    "examples": [0.03],
                },
                "outputTokenCost": {
                    "type": "number",
                    "minimum": 0,
                    "description": "Price of 1,000 tokens out.",
                    "examples": [0.06],
                },
                "currency": text(
                    "Currency of the prices; USD if absent.",
                    "USD",
                    pattern="^[A-Z]{3}$",
                    title="a currency code of three capital letters",
                ),
            },
            ("inputTokenCost", "outputTokenCost"),
        ),
        "costOptimization": record(
            "How Bedrock is to be billed.",
            {
                "provisioned_throughput": {
                    "type": "boolean",
                    "description": "Use capacity that was bought beforehand.",
                },
                "model_customization": {
                    "type": "boolean",
                    "description": "Models may be customised ones.",
                },
            },
        ),
    },
)


def _check_agent(spec: Mapping[str, Any]) -> list[Finding]:
    readers = {
        "/resources/cpu": cpu_millis,
        "/resources/memory": size_bytes,
        "/resources/gpu": gpus,
        "/sla/availability": percent,
        "/sla/maxLatency": duration_ms,
        "/sla/maxCost": cost,
    }
    for index in range(len(spec.get("dependencies", ()))):
        readers[f"/dependencies/{index}/version"] = version_range
    return findings(spec, readers)


def _check_group(spec: Mapping[str, Any]) -> list[Finding]:
    scaling = spec.get("scaling", {})
    found: list[Finding] = []
    if scaling and scaling["minReplicas"] > scaling["maxReplicas"]:
        least = scaling["minReplicas"]
        found.append(("/scaling/maxReplicas", f"at least minReplicas, {least}", "raise it"))
    for index, metric in enumerate(scaling.get("metrics", ())):
        at = f"/scaling/metrics/{index}"
        if (metric["type"] == "custom") != ("metric" in metric):
            wanted = "the property 'metric'" if metric["type"] == "custom" else "no 'metric'"
            place = at if metric["type"] == "custom" else f"{at}/metric"
            found.append((place, wanted, "custom measures are named by 'metric', others not"))
        target = str(metric["target"])
        if not target.endswith("%") and re.fullmatch(r"[0-9]{1,15}(\.[0-9]{1,9})?", target):
            continue
        found += [
            (f"{at}/target", "a percentage or a number", "write e.g. 70% or 100")
            for _ in findings(metric, {"/target": percent})
        ]
    return found


def _check_provider(spec: Mapping[str, Any]) -> list[Finding]:
    found: list[Finding] = []
    if not any(key in spec for key in ("endpoint", "region", "protocol")):
        found.append(("", "an 'endpoint', a 'region' or a 'protocol'", "say where the models are"))
    authentication = spec.get("authentication")
    if authentication not in (None, "none", "aws-iam-role") and not re.search(
        r"\$\{[A-Za-z_][A-Za-z0-9_]*\}", authentication
    ):
        found.append(
            (
                "/authentication",
                "the name of an environment variable, never the secret",
                'write e.g. "Bearer ${OPENAI_API_KEY}"',
            )
        )
    return found


AGENT = Kind(
    name="Agent",
    plural="agents",
    summary="A worker: what it is, what it may use, what is promised of it.",
    schema=record("A worker.", {**_DOCUMENT, **_BEYOND}),
    check=_check_agent,
)
AGENT_GROUP = Kind(
    name="AgentGroup",
    plural="agentgroups",
    summary="Agents that are scaled together.",
    schema=_GROUP,
    check=_check_group,
)
MODEL_PROVIDER = Kind(
    name="ModelProvider",
    plural="modelproviders",
    summary="Where models are asked, with which key, at which rate and price.",
    schema=_PROVIDER,
    block="Configuration",
    check=_check_provider,
)
KINDS = (AGENT, AGENT_GROUP, MODEL_PROVIDER)
