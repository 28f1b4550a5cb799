"""Fold: an answer made of numbered blocks of text and tool input, put together
piece by piece.

Shared by the protocols that stream blocks. A reply of a given shape may be
asked for through one more tool; then what is written into that tool is the
text, and other text is talk beside the point.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from agentsquad.integrations.connectors.ai.contract import ModelReplyError
from agentsquad.integrations.connectors.ai.naming import ToolNames
from agentsquad.integrations.connectors.ai.shape import decode_object
from agentsquad.workforce.agents.contract import ModelReply, ToolCall, Usage

Finish = Literal["stop", "length", "tool_calls", "filter"]


class _Block(msgspec.Struct):
    """A block under construction."""

    kind: Literal["text", "tool", "other"]
    id: str
    name: str
    text: str


class BlockFold:
    """What has arrived of one answer so far."""

    def __init__(self, names: ToolNames, answer_tool: str | None) -> None:
        self._names = names
        self._answer_tool = answer_tool
        self._blocks: dict[int, _Block] = {}

    def start(
        self,
        index: int,
        kind: Literal["text", "tool", "other"],
        *,
        id: str = "",
        name: str = "",
        text: str = "",
    ) -> str:
        """Open a block and return what of its first text is the answer's."""
        self._blocks[index] = _Block(kind, id, name, text)
        return self._spoken(self._blocks[index], text)

    def extend(self, index: int, piece: str) -> str:
        """Add to a block and return what of the piece is the answer's."""
        block = self._blocks[index]
        block.text += piece
        return self._spoken(block, piece)

    def knows(self, index: int) -> bool:
        """Say whether a block was opened; not every provider opens those of
        text.
        """
        return index in self._blocks

    def _spoken(self, block: _Block, piece: str) -> str:
        if self._answer_tool is None:
            return piece if block.kind == "text" else ""
        return piece if block.kind == "tool" and block.name == self._answer_tool else ""

    def reply(self, model: str, finish: Finish | None, usage: Usage) -> ModelReply:
        """Return the whole; ModelReplyError when no reason to end was ever
        given.
        """
        if finish is None:
            raise ModelReplyError("the stream ended before the answer was complete")
        blocks = [block for _, block in sorted(self._blocks.items())]
        calls = tuple(
            ToolCall(
                id=block.id,
                name=self._names.inward(block.name),
                arguments=decode_object(block.text, "the input of a tool call"),
            )
            for block in blocks
            if block.kind == "tool" and block.name != self._answer_tool
        )
        if finish == "tool_calls" and not calls:
            finish = "stop"  # only the answer tool was used
        return ModelReply(
            model=model,
            text="".join(self._spoken(block, block.text) for block in blocks),
            tool_calls=calls,
            finish=finish,
            usage=usage,
        )
