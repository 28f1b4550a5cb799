"""The program, loaded once: each command runs in a process forked from here.

Most of a short command is the loading of its modules, and pages hold hundreds.
A fork has everything else for itself, as a command of its own would: folder,
variables, streams, store. That the program loads alone is shown by the pages'
servers and pipes, which bash starts as ever, and by the end-to-end tests.

Told on stdin, a line of JSON each: words, folder, environment, output. Answers
with the code it ended with, as a shell tells it.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

PLAIN = frozenset("|&;<>()$`*?[]{}#~!\\\n")
SERVES = ("up", "proxy")
# Loaded by nearly every command, and not by the modules of the program alone.
ALSO = (
    "agentsquad.runtime.ledger.adapters.sqlite",
    "agentsquad.runtime.policy.adapters.rego",
    "agentsquad.trust.attestation.adapters.ed25519",
    "rich.console",
)


def words_of(command: str) -> tuple[dict[str, str], list[str]] | None:
    """Return the variables and words of a plain call of the program; None for
    what a shell has to read, and for what serves until it is told to end."""
    if PLAIN & set(command):
        return None
    words, variables = shlex.split(command), {}
    while words and "=" in words[0] and words[0].partition("=")[0].isidentifier():
        name, _, value = words.pop(0).partition("=")
        variables[name] = value
    if words[:1] != ["squad"] or words[1:2] == [] or words[1] in SERVES:
        return None
    return variables, words


class Program:
    """A process that has loaded the program and waits for commands."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(
        self, words: list[str], folder: Path, environment: Mapping[str, str]
    ) -> tuple[int, str]:
        """Carry out a command and return its code and what it printed."""
        assert self._process.stdin
        assert self._process.stdout
        output = folder.parent / f"{folder.name}.printed"
        told = {
            "words": words,
            "folder": str(folder),
            "environment": dict(environment),
            "output": str(output),
        }
        self._process.stdin.write(json.dumps(told) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "the program that was loaded is gone"
        printed = output.read_text(encoding="utf-8")
        output.unlink()
        return int(answer), printed

    def close(self) -> None:
        """End it."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()
        assert self._process.stdout
        self._process.stdout.close()


def load() -> None:
    """Import what commands need."""
    import agentsquad

    for module in pkgutil.walk_packages(agentsquad.__path__, "agentsquad."):
        if not {"adapters", "testing", "temporal", "grpc"} & set(module.name.split(".")):
            importlib.import_module(module.name)
    for name in ALSO:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()


def carry_out(told: Mapping[str, object], limit_s: int) -> int:
    """Fork, run one command, and return its code."""
    forked = os.fork()
    if forked:
        code = os.waitstatus_to_exitcode(os.waitpid(forked, 0)[1])
        return code if code >= 0 else 128 - code
    import signal

    signal.alarm(limit_s)
    nothing = os.open(os.devnull, os.O_RDONLY)
    output = os.open(str(told["output"]), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for given, wanted in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(given, wanted)
    os.chdir(str(told["folder"]))
    os.environ.clear()
    os.environ.update(told["environment"])  # type: ignore[arg-type]
    sys.argv[:] = told["words"]  # type: ignore[call-overload]
    from agentsquad.assembly.main import main

    main()
    sys.exit(0)


def serve() -> None:
    """Answer until nobody asks any more."""
    load()
    answers = os.dup(1)
    os.dup2(2, 1)
    for line in sys.stdin:
        os.write(answers, f"{carry_out(json.loads(line), 300)}\n".encode())


if __name__ == "__main__":
    serve()
