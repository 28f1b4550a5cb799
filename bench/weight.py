"""Measures what an installation weighs, beside three peers.

Each package goes into an environment of its own under `.venv-weight` (kept, so
that repeats are quick; `--fresh` makes them again). Times are the least of
several runs in new processes; the first run, which writes byte code, is left
out. Ratios are what to trust, not the absolute figures of one machine.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PLACE = ROOT / ".venv-weight"
RUNS = 7

PROBE = """
import resource, sys, time
begin = time.perf_counter()
import {module}
spent = time.perf_counter() - begin
print(spent, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


class Subject(NamedTuple):
    """Something to install: what pip is told, the top package, the module a
    program imports to run work with it, its command.
    """

    name: str
    requirement: str
    package: str
    working: str
    command: str | None


class Weight(NamedTuple):
    """What one installation weighs."""

    distributions: float
    mb: float
    mb_source: float
    import_s: float
    rss_mb: float
    working_s: float
    working_mb: float
    help_s: float | None


SUBJECTS = (
    Subject("agentsquad", str(ROOT), "agentsquad", "agentsquad.assembly.squad", "squad"),
    Subject("langgraph", "langgraph", "langgraph", "langgraph.graph", None),
    Subject("dbos", "dbos", "dbos", "dbos", "dbos"),
    Subject(
        "agent-framework-core",
        "agent-framework-core",
        "agent_framework",
        "agent_framework",
        None,
    ),
)
BUDGET = {"distributions": 25, "mb": 80, "import_s": 0.20, "rss_mb": 40, "help_s": 0.25}
SERVER = ("starlette", "uvicorn")


def install(folder: Path, *requirements: str) -> None:
    """Install into the environment in `folder`, which has no pip of its own."""
    command = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install"]
    options = ["--quiet", "--disable-pip-version-check", "--no-warn-script-location"]
    subprocess.run([*command, *options, *requirements], check=True, stderr=subprocess.DEVNULL)


def environment(subject: Subject, fresh: bool) -> Path:
    """Return an environment with only this package and what it depends on."""
    folder = PLACE / subject.name
    stamp = folder / ".installed"
    if fresh or subject.requirement == str(ROOT) or not stamp.exists():
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
        install(folder, subject.requirement)
        stamp.touch()
    return folder


def packages(folder: Path) -> Path:
    """Return the folder packages are installed in."""
    return next((folder / "lib").glob("python3*/site-packages"))


def size(folder: Path) -> tuple[int, float, float]:
    """Return distributions, MB, and MB without byte code."""
    files = [file for file in packages(folder).rglob("*") if file.is_file()]
    total = sum(file.stat().st_size for file in files)
    source = sum(file.stat().st_size for file in files if file.suffix != ".pyc")
    return len(list(packages(folder).glob("*.dist-info"))), total / 1e6, source / 1e6


def run(*command: str) -> tuple[float, str]:
    """Run a command to its end; return its seconds and output."""
    begin = time.perf_counter()
    quiet = {"NO_COLOR": "1", "TERM": "dumb", "PATH": os.environ["PATH"], "HOME": str(PLACE)}
    result = subprocess.run(command, env=quiet, capture_output=True, text=True, check=False)
    if result.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{result.stderr[-2000:]}")
    return time.perf_counter() - begin, result.stdout


def probe(python: str, module: str) -> tuple[float, float]:
    """Return the seconds and MB of importing a module in a new process."""
    outputs = [run(python, "-c", PROBE.format(module=module))[1] for _ in range(RUNS)]
    spent, memory = zip(*(map(float, output.split()) for output in outputs[1:]), strict=True)
    return min(spent), min(memory)


def weigh(subject: Subject, fresh: bool) -> Weight:
    """Install one package and measure it."""
    folder = environment(subject, fresh)
    python = str(folder / "bin" / "python")
    package, working = probe(python, subject.package), probe(python, subject.working)
    help_s = None
    if subject.command:
        command = str(folder / "bin" / subject.command)
        help_s = min([run(command, "--help")[0] for _ in range(RUNS)][1:])
    return Weight(*size(folder), *package, *working, help_s)


def server_room(folder: Path, ours: Weight) -> str:
    """Say what is left of the budget, and what the server would take of it."""
    install(folder, *SERVER)
    distributions, mb, _ = size(folder)
    left = (BUDGET["distributions"] - ours.distributions, BUDGET["mb"] - ours.mb)
    return (
        f"room left: {left[0]:.0f} distributions, {left[1]:.1f} MB; {' and '.join(SERVER)} take "
        f"{distributions - ours.distributions:.0f} and {mb - ours.mb:.1f} MB of it"
    )


def rows(weights: dict[str, Weight]) -> list[list[str]]:
    """Return the table: a line for each measure, ratios in brackets."""
    ours = weights["agentsquad"]
    lines = [["", "budget", *weights]]
    labels = {
        "distributions": ("distributions", "{:.0f}"),
        "mb": ("installed MB", "{:.1f}"),
        "mb_source": ("… without byte code", "{:.1f}"),
        "import_s": ("import of the package, s", "{:.3f}"),
        "rss_mb": ("… MB RSS", "{:.1f}"),
        "working_s": ("import to run work, s", "{:.3f}"),
        "working_mb": ("… MB RSS", "{:.1f}"),
        "help_s": ("--help, s", "{:.3f}"),
    }
    for name, (label, form) in labels.items():
        line = [label, str(BUDGET.get(name, ""))]
        for weight in weights.values():
            value, own = getattr(weight, name), getattr(ours, name)
            if value is None:
                line.append("–")
            elif weight is ours:
                over = name in BUDGET and value > BUDGET[name]
                line.append(form.format(value) + (" OVER" if over else ""))
            else:
                ratio = f" (×{value / own:.1f})" if own and own > 0.001 else ""
                line.append(form.format(value) + ratio)
        lines.append(line)
    return lines


def main(arguments: list[str]) -> int:
    """Print the table; exit 1 when a budget is passed."""
    fresh = "--fresh" in arguments
    PLACE.mkdir(exist_ok=True)
    weights = {subject.name: weigh(subject, fresh) for subject in SUBJECTS}
    lines = rows(weights)
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)))
    print(server_room(PLACE / "agentsquad", weights["agentsquad"]))
    bare = run(str(PLACE / "agentsquad" / "bin" / "python"), "-c", PROBE.format(module="sys"))[1]
    print(
        f"conditions: Python {platform.python_version()}, {platform.machine()}, "
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, least of {RUNS - 1} runs; "
        f"bare Python {float(bare.split()[1]):.1f} MB RSS; MB = 1,000,000 bytes"
    )
    return int(any("OVER" in cell for line in lines for cell in line))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
