"""Fetching: the file that a message only names, kept as a blob."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from agentsquad.kernel.action import Effect, action
from agentsquad.kernel.context import Context
from agentsquad.kernel.ports import BlobStore
from agentsquad.surfaces.a2a.contract import Webhooks
from agentsquad.surfaces.a2a.parts import ANY


class FetchInput(msgspec.Struct, kw_only=True):
    """Where the file is."""

    url: Annotated[
        str, Meta(description="where it is, https", examples=["https://client.example/order.edi"])
    ]
    media_type: Annotated[str, Meta(description="what it is; without it what is said there")] = ""


@action(
    "a2a.fetch",
    effect=Effect.WRITE,
    cli=("a2a", "fetch"),
    positional=("url",),
    examples=("squad a2a fetch https://client.example/order.edi",),
)
async def fetch(ctx: Context, value: FetchInput) -> dict[str, Any]:
    """Keep a file of the open internet as a blob, as for a message that names
    it."""
    data, said = await ctx.port(Webhooks).get(value.url)  # type: ignore[type-abstract]
    return await ctx.port(BlobStore).put(  # type: ignore[type-abstract]
        data, value.media_type or said or ANY
    )
