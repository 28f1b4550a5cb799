"""Records the first minute: runs `squad demo` in a new store and draws what it
prints as docs/assets/first-minute.svg.

The program runs under a pseudo-terminal, so the picture shows what a person
sees; approvals are answered by rule. The README shows the picture from the
moment it exists.
"""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "assets" / "first-minute.svg"
MARK = "<!-- first-minute -->"
COLUMNS = 100
LINES_MAX = 60
SECONDS_MAX = 300

CURSOR = re.compile(r"\x1b\[[0-9;?]*[A-HJKSTfhlnsu]")


def run(command: list[str], home: str) -> str:
    """Run a command under a pseudo-terminal and return everything it wrote."""
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
        stdin=subprocess.DEVNULL,
        stdout=follower,
        stderr=follower,
        close_fds=True,
    )
    os.close(follower)
    parts = []
    while True:
        try:
            part = os.read(leader, 65536)
        except OSError:  # Linux says EIO when the other end is closed
            break
        if not part:
            break
        parts.append(part)
    os.close(leader)
    code = process.wait(SECONDS_MAX)
    text = b"".join(parts).decode("utf-8", "replace")
    if code:
        raise SystemExit(f"{' '.join(command)} ended with {code}:\n{text[-2000:]}")
    return text


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


def draw(command: str, lines: list[str]) -> str:
    """Return the SVG of a terminal with this command and its output."""
    if len(lines) > LINES_MAX:
        half = LINES_MAX // 3
        lines = [*lines[:half], "…", *lines[half - LINES_MAX :]]
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text(f"$ {command}", style="bold"))
    console.print(Text.from_ansi("\n".join(lines).strip("\n")))
    # No web font: the picture must not ask the network.
    svg = console.export_svg(title="Agent Squad", unique_id="first-minute")
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)


def show_in_readme() -> None:
    """Put the picture where the README keeps a place for it."""
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    picture = "![`make demo` from the first order to the signed head](docs/assets/first-minute.svg)"
    readme.write_text(text.replace(MARK, picture), encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Record the command given, or `squad demo --auto`."""
    command = arguments or ["squad", "demo", "--auto"]
    with tempfile.TemporaryDirectory() as home:
        lines = settle(run(command, home))
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    shown = "make demo" if not arguments else " ".join(command)
    PICTURE.write_text(draw(shown, lines), encoding="utf-8")
    if not arguments:
        show_in_readme()
    print(f"wrote {PICTURE.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
