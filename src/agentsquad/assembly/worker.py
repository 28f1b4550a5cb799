"""A worker: a process that opens this installation once and carries out actions
it is told.

`python -m agentsquad.assembly.worker HOME` reads {"action", "input"}, one JSON
object a line, and answers each with {"ok": output} or {"error": …} on a line of
its own. Whatever else is printed goes to the standard error. It ends with its
input.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

import msgspec

from agentsquad.assembly.main import Distribution
from agentsquad.assembly.squad import Squad
from agentsquad.kernel import errors


async def work(squad: Squad, line: bytes) -> dict[str, Any]:
    """Carry out what one line asks for."""
    try:
        asked = msgspec.json.decode(line)
        output = await squad.invoke(asked["action"], asked["input"])
    except Exception as error:  # noqa: BLE001 - told to the one who asked, as an error of ours
        return {"error": errors.record(error)}
    return {"ok": msgspec.to_builtins(output, str_keys=True)}


def main() -> None:
    """Serve the standard input until it ends."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    squad = Distribution().open(sys.argv[1] if len(sys.argv) > 1 else None)
    if squad.unkept:  # nothing to read from, and nobody asked for a store
        squad = Squad(msgspec.structs.replace(squad.settings, store="memory:"), squad.registry)
    with asyncio.Runner() as runner:
        for line in sys.stdin.buffer:
            answers.write(msgspec.json.encode(runner.run(work(squad, line))) + b"\n")
            answers.flush()
        runner.run(squad.close())


if __name__ == "__main__":
    main()
