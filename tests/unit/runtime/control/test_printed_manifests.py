"""The manifests printed in the architecture document, pasted as they stand."""

from __future__ import annotations

import re
import textwrap

import pytest

from agentsquad.kernel.manifest import ManifestError, load
from agentsquad.kernel.registry import Registry
from agentsquad.kernel.resource import Resource
from agentsquad.runtime.control.plugin import plugin as control
from agentsquad.workforce.agents.kinds import KINDS

REGISTRY = Registry.of(control)
ALL = {**REGISTRY.kinds, **{kind.name: kind for kind in KINDS}}

AGENT = """\
      spec:
        type: "gpt-4-agent"
        version: "1.2.3"
        resources:
          cpu: "2000m"
          memory: "4Gi"
          gpu: "nvidia.com/gpu: 1"
        dependencies:
          - name: "database"
            type: "postgresql"
            version: ">=13.0"
        compliance:
          tags: ["pii-safe", "gdpr-compliant", "sox-audit"]
          dataClassification: "confidential"
        sla:
          availability: "99.9%"
          maxLatency: "500ms"
          maxCost: "$1000/month"
"""
WORKFLOW = """\
      spec:
        graph:
          nodes:
            - id: "data-extraction"
              agent: "gpt-4-agent:v1.2.3"
              parallelism: 5
            - id: "data-processing"
              agent: "claude-agent:v2.1.0"
              dependsOn: ["data-extraction"]
        schedule: "0 */6 * * *"  # Cron expression
        retryPolicy:
          maxRetries: 3
          backoffStrategy: "exponential"
        timeout: "2h"
"""
GROUP = """\
      spec:
        selector:
          matchLabels:
            team: "finance"
            environment: "production"
        scaling:
          minReplicas: 2
          maxReplicas: 20
          metrics:
            - type: "cpu"
              target: "70%"
            - type: "custom"
              metric: "queue_depth"
              target: "100"
"""
OPENAI = """\
    Configuration:
      endpoint: "https://api.openai.com/v1"
      authentication: "Bearer ${OPENAI_API_KEY}"
      models: ["gpt-4", "gpt-3.5-turbo", "davinci-003"]
      rateLimits:
        requestsPerMinute: 3500
        tokensPerMinute: 90000
      costTracking:
        inputTokenCost: 0.03  # per 1K tokens
        outputTokenCost: 0.06  # per 1K tokens
"""
ANTHROPIC = """\
    Configuration:
      endpoint: "https://api.anthropic.com/v1"
      authentication: "x-api-key: ${ANTHROPIC_API_KEY}"
      models: ["claude-3-opus", "claude-3-sonnet", "claude-3-haiku"]
      rateLimits:
        requestsPerMinute: 1000
        tokensPerMinute: 40000
"""
BEDROCK = """\
    Configuration:
      region: "us-west-2"
      authentication: "aws-iam-role"
      models:
        - "amazon.titan-text-express-v1"
        - "anthropic.claude-v2"
        - "ai21.j2-ultra-v1"
      costOptimization:
        provisioned_throughput: true
        model_customization: true
"""


def manifest(kind: str, block: str) -> str:
    head = f"apiVersion: agentsquad.dev/v1\nkind: {kind}\nmetadata:\n  name: printed\n"
    return head + textwrap.dedent(block)


def only(text: str) -> Resource:
    (resource,) = load(text, file="printed.yaml", kinds=ALL)
    return resource


@pytest.mark.parametrize("choice", ["gpt-4-agent", "claude-agent", "custom-agent"])
def test_the_printed_agent_is_accepted_with_each_choice(choice: str) -> None:
    resource = only(manifest("Agent", AGENT.replace("gpt-4-agent", choice)))
    assert resource.spec["type"] == choice
    assert resource.spec["resources"]["gpu"] == "nvidia.com/gpu: 1"


def test_the_printed_workflow_and_group_are_accepted() -> None:
    assert only(manifest("AgentWorkflow", WORKFLOW)).spec["schedule"] == "0 */6 * * *"
    assert only(manifest("AgentGroup", GROUP)).spec["scaling"]["metrics"][1]["target"] == "100"


@pytest.mark.parametrize("block", [OPENAI, ANTHROPIC, BEDROCK], ids=["openai", "anthropic", "aws"])
def test_the_printed_configuration_is_a_provider_in_each_place_it_may_stand(block: str) -> None:
    under_spec = textwrap.dedent(block).replace("Configuration:", "spec:")
    inside_spec = "spec:\n" + textwrap.indent(textwrap.dedent(block), "  ")
    specs = [
        only(manifest("ModelProvider", text)).spec for text in (under_spec, inside_spec, block)
    ]
    assert specs[0] == specs[1] == specs[2]
    assert "Configuration" not in specs[0]
    assert len(specs[0]["models"]) == 3


TYPOS = [
    ("Agent", AGENT, "maxLatency", "maxLatncy", 21, "spec.sla.maxLatncy"),
    ("Agent", AGENT, "cpu", "cpuu", 9, "spec.resources.cpuu"),
    ("Agent", AGENT, "dataClassification", "dataClasification", 18, None),
    ("Agent", AGENT, "gpt-4-agent", "gpt4-agent", 6, "spec.type"),
    ("Agent", AGENT, "confidential", "confidental", 18, "spec.compliance.dataClassification"),
    ("AgentWorkflow", WORKFLOW, "dependsOn", "dependOn", 13, "spec.graph.nodes[1].dependOn"),
    ("AgentWorkflow", WORKFLOW, '["data-extraction"]', '["data-extracton"]', 13, None),
    ("AgentWorkflow", WORKFLOW, "retryPolicy", "retrypolicy", 15, "spec.retrypolicy"),
    ("AgentWorkflow", WORKFLOW, "graph", "grapf", 6, "spec.grapf"),
    ("AgentGroup", GROUP, "matchLabels", "matchLables", 7, "spec.selector.matchLables"),
    ("AgentGroup", GROUP, "maxReplicas", "maxReplica", 12, "spec.scaling.maxReplica"),
    ("ModelProvider", OPENAI, "rateLimits", "rateLimit", 9, "Configuration.rateLimit"),
    ("ModelProvider", BEDROCK, "region", "regoin", 6, "Configuration.regoin"),
    ("Agent", AGENT, "spec:", "spce:", 5, "spce"),
]


@pytest.mark.parametrize(("kind", "block", "right", "typo", "line", "path"), TYPOS)
def test_a_typo_is_answered_with_line_path_and_nearest_name(
    kind: str, block: str, right: str, typo: str, line: int, path: str | None
) -> None:
    with pytest.raises(ManifestError) as caught:
        only(manifest(kind, block.replace(right, typo, 1)))
    first = caught.value.details["errors"][0]
    name = right.strip('[]":')
    assert (first["file"], first["line"]) == ("printed.yaml", line)
    assert first["fix"] == f"did you mean {name!r}?"
    assert path is None or first["path"] == path


@pytest.mark.parametrize(
    ("kind", "block", "right", "bad", "expected"),
    [
        ("Agent", AGENT, "4Gi", "4 gigs", "a size of memory"),
        ("Agent", AGENT, "99.9%", "101%", "a percentage"),
        ("Agent", AGENT, "$1000/month", "$1000", "an amount of money in a period"),
        ("Agent", AGENT, ">=13.0", "newest", "a version or a range"),
        ("Agent", AGENT, "nvidia.com/gpu: 1", "one", "a number of graphics processors"),
        ("Agent", AGENT, '"1.2.3"', "1.2", "a string"),
        ("AgentGroup", GROUP, "maxReplicas: 20", "maxReplicas: 1", "at least minReplicas"),
        ("AgentGroup", GROUP, "70%", "seventy", "a percentage or a number"),
        ("AgentGroup", GROUP, 'metric: "queue_depth"', "", "the property 'metric'"),
        ("ModelProvider", OPENAI, "3500", "0", "at least 1"),
        ("ModelProvider", OPENAI, "https://", "", "a web address"),
        ("AgentWorkflow", WORKFLOW, "0 */6 * * *", "every day", "a cron expression"),
    ],
)
def test_a_wrong_value_is_answered_with_what_was_expected(
    kind: str, block: str, right: str, bad: str, expected: str
) -> None:
    with pytest.raises(ManifestError) as caught:
        only(manifest(kind, block.replace(right, bad, 1)))
    assert expected in caught.value.details["errors"][0]["expected"]


def test_a_secret_in_a_provider_is_refused_and_never_repeated() -> None:
    secret = "Bearer sk-live-4711"
    with pytest.raises(ManifestError) as caught:
        only(manifest("ModelProvider", OPENAI.replace("Bearer ${OPENAI_API_KEY}", secret)))
    assert "sk-live" not in str(caught.value.to_dict())
    with pytest.raises(ManifestError) as caught:
        only(manifest("ModelProvider", OPENAI.replace('"Bearer ${OPENAI_API_KEY}"', "[sk-live]")))
    assert "sk-live" not in str(caught.value.to_dict())


def test_an_agent_may_say_who_it_is() -> None:
    spec = {
        "role": "a clerk",
        "instructions": "Compare line by line.",
        "tools": ["edi.check"],
        "outputSchema": {"type": "object"},
        "model": "openai/gpt-4",
        "memory": {"kind": "run", "limit": 5},
        "personality": {
            "openness": 0.2,
            "conscientiousness": 1,
            "extraversion": 0,
            "agreeableness": 0.5,
            "neuroticism": 0.1,
            "riskTolerance": "conservative",
            "communicationStyle": "technical",
            "learningRate": "slow",
        },
    }
    import json

    text = json.dumps(
        {
            "apiVersion": "agentsquad.dev/v1",
            "kind": "Agent",
            "metadata": {"name": "matcher", "labels": {"team": "finance"}},
            "spec": spec,
        }
    )
    resource = only(text)
    assert resource.spec == spec
    with pytest.raises(ManifestError) as caught:
        only(text.replace('"openness": 0.2', '"openness": 1.2'))
    (error,) = caught.value.details["errors"]
    assert (error["path"], error["expected"]) == ("spec.personality.openness", "at most 1")


def keys_of(block: str) -> list[str]:
    return list(dict.fromkeys(re.findall(r"^[ -]*([A-Za-z_]+):", block, re.M)))


def slips(word: str) -> dict[str, str]:
    """Every word one exchange or one doubled letter away."""
    exchanged = {word[:i] + word[i + 1] + word[i] + word[i + 2 :] for i in range(len(word) - 1)}
    doubled = {word[: i + 1] + word[i:] for i in range(len(word))}
    return {slip: word for slip in exchanged | doubled if slip != word}


@pytest.mark.parametrize(
    ("kind", "block"),
    [
        ("Agent", AGENT),
        ("AgentWorkflow", WORKFLOW),
        ("AgentGroup", GROUP),
        ("ModelProvider", OPENAI),
        ("ModelProvider", ANTHROPIC),
        ("ModelProvider", BEDROCK),
    ],
)
def test_every_slip_in_every_printed_name_is_answered_with_the_right_one(
    kind: str, block: str
) -> None:
    text = manifest(kind, block.replace("Configuration:", "spec:"))
    # labels are the user's own words
    names = [name for name in keys_of(text) if name not in ("team", "environment")]
    assert len(names) > 8
    for name in names:
        pattern = re.compile(rf"^([ -]*){name}:", re.M)
        for slip in slips(name):
            with pytest.raises(ManifestError) as caught:
                only(pattern.sub(rf"\g<1>{slip}:", text, count=1))
            line = text[: pattern.search(text).end()].count("\n") + 1  # type: ignore[union-attr]
            told = [(e["line"], e["fix"]) for e in caught.value.details["errors"]]
            assert (line, f"did you mean {name!r}?") in told, (slip, told)
