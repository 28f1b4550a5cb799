"""Worker processes: each opens the installation once and carries out actions it
is told on its standard input, one JSON line each."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from agentsquad.kernel import errors
from agentsquad.operations.trials.contract import WorkerError

LINE_MAX = 64 * 1024 * 1024


class ProcessWorkers:
    """Python processes of this installation."""

    def __init__(self, module: str, home: str) -> None:
        self._command = [sys.executable, "-m", module, home]

    async def spread(
        self, action: str, inputs: Sequence[Mapping[str, Any]], workers: int
    ) -> AsyncIterator[Any]:
        """Yield outputs as they are done, in any order."""
        rest = list(reversed(inputs))
        done: asyncio.Queue[Any] = asyncio.Queue()
        tasks = [
            asyncio.create_task(self._work(action, rest, done)) for _ in range(max(1, workers))
        ]
        finished = 0
        try:
            for finished in range(1, len(inputs) + 1):
                output = await done.get()
                if isinstance(output, Exception):
                    finished = 0
                    raise output
                yield output
        finally:
            rest.clear()
            for task in tasks if finished < len(inputs) else ():
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _work(
        self, action: str, rest: list[Mapping[str, Any]], done: asyncio.Queue[Any]
    ) -> None:
        process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=LINE_MAX,
        )
        assert process.stdin is not None and process.stdout is not None
        try:
            while rest:
                line = json.dumps({"action": action, "input": rest.pop()})
                process.stdin.write(line.encode() + b"\n")
                await process.stdin.drain()
                answer = await process.stdout.readline()
                if not answer:
                    raise WorkerError(
                        "a worker process ended before its work",
                        hint="its own message stands above; --workers 1 works without",
                    )
                told = json.loads(answer)
                done.put_nowait(errors.restore(told["error"]) if "error" in told else told["ok"])
        except (OSError, WorkerError) as error:
            if not isinstance(error, WorkerError):
                error = WorkerError(f"a worker process cannot be told: {error}")
            done.put_nowait(error)
        finally:
            process.stdin.close()
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()
