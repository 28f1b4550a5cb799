"""Records the first minute: runs `squad demo` in a new store, answers its
questions, asks why an order was held, and draws docs/assets/first-minute.svg.

The program runs under a pseudo-terminal, so the picture shows what a person
sees. Nothing is drawn that was not printed; questions after the first are left
out and counted.
"""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "assets" / "first-minute.svg"
COLUMNS = 100
# An order of the demo that is held: the supplier's account had changed.
HELD = "4500210011"
KINDS_SHOWN = 4
ANSWERS = {b"[Enter] later: ": b"y\n", b"reason: ": b"compared with the delivery note\n"}
SECONDS_MAX = 300

CURSOR = re.compile(r"\x1b\[[0-9;?]*[A-HJKSTfhlnsu]")


def run(command: list[str], home: str) -> str:
    """Run a command under a pseudo-terminal, answer what it asks, and return
    everything that was to be seen.
    """
    leader, follower = pty.openpty()
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": home,
        "SQUAD_HOME": str(Path(home) / ".squad"),
        "TERM": "xterm-256color",
        "COLUMNS": str(COLUMNS),
        "LINES": "40",
        "LANG": "C.UTF-8",
    }
    process = subprocess.Popen(
        command,
        cwd=home,
        env=environment,
        stdin=follower,
        stdout=follower,
        stderr=follower,
        close_fds=True,
    )
    os.close(follower)
    seen = b""
    while part := _read(leader):
        seen += part
        for prompt, answer in ANSWERS.items():
            if seen.endswith(prompt):
                os.write(leader, answer)  # the terminal echoes it
    os.close(leader)
    code = process.wait(SECONDS_MAX)
    text = seen.decode("utf-8", "replace")
    if code:
        raise SystemExit(f"{' '.join(command)} ended with {code}:\n{text[-2000:]}")
    return text


def _read(leader: int) -> bytes:
    try:
        return os.read(leader, 65536)
    except OSError:  # Linux says EIO when the other end is closed
        return b""


def settle(output: str) -> list[str]:
    """Return the lines as they stand at the end: a line written again counts
    once, with its last text.
    """
    screen: list[str] = [""]
    row = 0
    for piece in re.split(r"(\n|\r|\x1b\[\d*A|\x1b\[2?K)", output.replace("\r\n", "\n")):
        up = re.fullmatch(r"\x1b\[(\d*)A", piece)
        if piece == "\n":
            row += 1
            if row == len(screen):
                screen.append("")
        elif up:
            row = max(0, row - int(up[1] or 1))
        elif piece == "\r" or re.fullmatch(r"\x1b\[2?K", piece):
            screen[row] = ""
        elif piece:
            screen[row] += CURSOR.sub("", piece)
    return [line.rstrip() for line in screen]


def draw(scenes: Sequence[tuple[str, Sequence[str]]]) -> str:
    """Return the SVG of a terminal with each command and its output."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    for command, lines in scenes:
        console.print(Text(f"$ {command}", style="bold"))
        console.print(Text.from_ansi("\n".join(lines).strip("\n")))
        console.print()
    # No web font: the picture must not ask the network.
    svg = console.export_svg(title="Agent Squad", unique_id="first-minute")
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)


def shorten(lines: Sequence[str]) -> list[str]:
    """Keep the first question with its answer and the table at the end; what is
    left out is counted.
    """
    plain = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in lines]
    asked = [number for number, line in enumerate(plain) if line.startswith("reason: ")]
    table = plain.index("purchase to pay")
    kinds = plain.index("exceptions") + 2
    money = plain.index("money") - 1
    return [
        *lines[: asked[0] + 1],
        *("", _dim(f"… {len(asked) - 1} more questions …"), ""),
        *lines[table : kinds + KINDS_SHOWN],
        _dim(f"… {money - kinds - KINDS_SHOWN} more kinds …"),
        *lines[money:],
    ]


def _dim(text: str) -> str:
    return f"\x1b[2m{text}\x1b[0m"


def main() -> int:
    """Record the demo, answered by a person, and one question about it."""
    with tempfile.TemporaryDirectory() as home:
        demo = shorten(settle(run(["squad", "demo"], home)))
        why = settle(run(["squad", "why", HELD], home))
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    PICTURE.write_text(draw([("squad demo", demo), (f"squad why {HELD}", why)]), encoding="utf-8")
    print(f"wrote {PICTURE.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
