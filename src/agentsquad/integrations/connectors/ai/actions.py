"""Actions: see which models there are, check them, ask one."""

from __future__ import annotations

from typing import Annotated

import msgspec

from agentsquad.integrations.connectors.ai.check import CheckResult, check_model
from agentsquad.integrations.connectors.ai.contract import ModelEntry, ModelMissingError, Models
from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.context import Context
from agentsquad.kernel.errors import SquadError
from agentsquad.kernel.ports import Clock
from agentsquad.kernel.registry import nearest
from agentsquad.workforce.agents.contract import Message, ModelRequest, Usage


class ModelsListInput(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing is asked: all models are listed."""


class ModelsListOutput(msgspec.Struct, frozen=True, kw_only=True):
    """Every model of the installation."""

    items: list[ModelEntry]


class ModelsTestInput(msgspec.Struct, frozen=True, kw_only=True):
    """Which models to check."""

    name: Annotated[
        str | None,
        msgspec.Meta(
            description="a model or a whole provider; all that are ready if left out",
            examples=["openai/gpt-4", "local"],
        ),
    ] = None
    offline: Annotated[
        bool, msgspec.Meta(description="only models that answer on this machine")
    ] = False


class ModelsTestOutput(msgspec.Struct, frozen=True, kw_only=True):
    """What was found; `skipped` says of each model left out why."""

    ok: bool
    items: list[CheckResult]
    skipped: dict[str, str]

    @property
    def exit_code(self) -> int:
        """1 when a check failed."""
        return 0 if self.ok else 1


class ModelsAskInput(msgspec.Struct, frozen=True, kw_only=True):
    """One question to one model."""

    model: Annotated[
        str,
        msgspec.Meta(description="the model's name", examples=["local/smollm2-135m"]),
    ]
    prompt: Annotated[
        str, msgspec.Meta(description="what to ask", examples=["Say hello in French."])
    ]
    max_tokens: Annotated[int, msgspec.Meta(description="longest answer, in tokens", ge=1)] = 256
    timeout_ms: Annotated[
        int, msgspec.Meta(description="how long to wait, in milliseconds", ge=1)
    ] = 60_000


class ModelsAskOutput(msgspec.Struct, frozen=True, kw_only=True):
    """The answer, and what it took."""

    model: str
    text: str
    finish: str
    usage: Usage


@action(
    "models.list",
    effect=Effect.READ,
    cli=("models", "list"),
    examples=("squad models list",),
)
def list_models(ctx: Context, value: ModelsListInput) -> ModelsListOutput:
    """List every model that can be asked for, and what the others lack."""
    return ModelsListOutput(items=ctx.port(Models).entries())  # type: ignore[type-abstract]


@action(
    "models.test",
    effect=Effect.READ,
    cli=("models", "test"),
    positional=("name",),
    examples=("squad models test --offline", "squad models test openai/gpt-4"),
)
async def test_models(ctx: Context, value: ModelsTestInput) -> ModelsTestOutput:
    """Ask models a few small questions and say whether they do what they must.

    Embedders and rules are not asked: the first do not answer, the second only
    to their own requests.
    """
    models = ctx.port(Models)  # type: ignore[type-abstract]
    clock = ctx.port(Clock)  # type: ignore[type-abstract]
    entries = models.entries()
    chosen, skipped = choose(entries, value)
    if value.name is not None and not chosen and not skipped:
        known = {name for entry in entries for name in (entry.name, entry.provider)}
        raise ModelMissingError(
            f"no model or provider named {value.name!r}",
            hint=nearest(value.name, known) or "squad models list shows them",
        )
    items: list[CheckResult] = []
    for done, entry in enumerate(chosen):
        ctx.progress(f"asking {entry.name}", done=done, total=len(chosen))
        try:
            model = models.model(entry.name)
        except SquadError as error:
            skipped[entry.name] = error.message
            continue
        items.extend(await check_model(entry.name, model, clock))
    return ModelsTestOutput(ok=all(item.ok for item in items), items=items, skipped=skipped)


def choose(
    entries: list[ModelEntry], value: ModelsTestInput
) -> tuple[list[ModelEntry], dict[str, str]]:
    """Return the models to ask, and why each of the others is left out."""
    chosen: list[ModelEntry] = []
    skipped: dict[str, str] = {}
    for entry in entries:
        if value.name not in (None, entry.name, entry.provider, entry.name.partition("/")[2]):
            continue
        if entry.protocol == "rules":
            skipped[entry.name] = "a rule answers only its own requests"
        elif entry.embeds:
            skipped[entry.name] = "it embeds and does not answer"
        elif entry.status != "ready":
            skipped[entry.name] = entry.status
        elif value.offline and entry.network:
            skipped[entry.name] = "needs the network"
        else:
            chosen.append(entry)
    return chosen, skipped


@action(
    "models.ask",
    effect=Effect.READ,
    cli=("models", "ask"),
    positional=("model", "prompt"),
    examples=('squad models ask local/smollm2-135m "Say hello in French."',),
)
async def ask_model(ctx: Context, value: ModelsAskInput) -> ModelsAskOutput:
    """Ask one model one question and print its answer and cost."""
    request = ModelRequest(
        model=value.model,
        messages=(Message(role="user", content=value.prompt),),
        max_tokens=value.max_tokens,
    )
    model = ctx.port(Models).model(value.model)  # type: ignore[type-abstract]
    reply = await model.complete(request, deadline_ms=value.timeout_ms)
    usage = reply.usage
    ctx.meter(
        model=value.model,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cost_micros=usage.cost_micros,
        currency=usage.currency,
    )
    return ModelsAskOutput(model=reply.model, text=reply.text, finish=reply.finish, usage=usage)
