"""Programs of this machine, started on this terminal."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping, Sequence

from agentsquad.integrations.proxy.contract import ProxyCommandError

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class SystemPrograms:
    """Starts programs that read and write where this process does."""

    async def run(
        self,
        command: Sequence[str],
        added: Mapping[str, str],
        removed: Sequence[str],
        *,
        aside: bool = False,
    ) -> int:
        """Run a program to its end and return its exit code, 128 and the number
        of a signal that ended it."""
        environment = {**os.environ, **added}
        for name in removed:
            environment.pop(name, None)
        try:
            child = await asyncio.create_subprocess_exec(
                *command, env=environment, stdout=2 if aside else None
            )
        except (OSError, ValueError) as error:
            raise ProxyCommandError(
                f"cannot start {command[0]!r}: {getattr(error, 'strerror', None) or error}",
                hint="what follows -- is a program and its arguments",
            ) from error
        loop = asyncio.get_running_loop()

        def pass_on(number: int) -> None:
            with contextlib.suppress(ProcessLookupError):
                child.send_signal(number)

        for number in ENDING:
            loop.add_signal_handler(number, pass_on, number)
        try:
            code = await child.wait()
        except asyncio.CancelledError:
            with contextlib.suppress(ProcessLookupError):
                child.terminate()
            await child.wait()
            raise
        finally:
            for number in ENDING:
                loop.remove_signal_handler(number)
        return 128 - code if code < 0 else code

    async def announce(self, added: Mapping[str, str]) -> None:
        """Print the variables an agent needs, as a shell reads them, beside the
        output."""
        for name, value in added.items():
            sys.stderr.write(f"export {name}={value}\n")
        sys.stderr.flush()
