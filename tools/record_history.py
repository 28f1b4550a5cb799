"""Record what this version's log looks like: tests/replay/histories/<version>.

Runs `tests/replay/recording.py` under the code of one version, keeps the home
it wrote as it lies on disk, and each of its runs as a JSON history. Every later
version must open, verify and replay all of them. A version that was released is
never recorded again.

    python tools/record_history.py                       this version
    python tools/record_history.py --source DIR --name 0.1.0+431af44
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import lzma
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
REPLAY = ROOT / "tests" / "replay"
LARGE = 256 * 1024  # characters; a run that takes more stands in the home alone
KEPT = ("log.db", "log.keys.db", "log.db.head")  # readings are rebuilt, outboxes are not the log


def main(arguments: list[str]) -> int:
    """Record one version."""
    from agentsquad import __version__

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, default=ROOT, help="a checkout of that version")
    parser.add_argument("--name", default=__version__, help="the folder's name")
    parser.add_argument("--no-flagship", action="store_true", help="without purchase to pay")
    asked = parser.parse_args(arguments)
    folder = REPLAY / "histories" / asked.name
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch) / "home"
        runs = written(asked.source, home, flagship=not asked.no_flagship)
        packed = pack(home)
        expected = asyncio.run(read(home, runs))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "home.tar.xz").write_bytes(packed)
    for name, (text, _) in expected.items():
        if len(text) <= LARGE:
            (folder / f"{name}.json").write_text(text, "utf-8")
    told = {name: facts for name, (_, facts) in expected.items()}
    (folder / "expected.json").write_text(json.dumps(told, indent=1) + "\n", "utf-8")
    for name, facts in told.items():
        print(f"{asked.name} {name}: {facts['verdict']}, {facts['events']} events")
    return 0


def written(source: Path, home: Path, *, flagship: bool) -> dict[str, str]:
    """Let a version write its log; return run -> name."""
    home.mkdir(parents=True)
    command = [sys.executable, str(REPLAY / "recording.py"), str(home)]
    if flagship:
        command.append("--flagship")
    done = subprocess.run(
        command,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(source / "src")},
        cwd=home.parent,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return found


def pack(home: Path) -> bytes:
    """Return the home as a compressed archive, the same for the same files."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        paths = [home / name for name in KEPT] + sorted((home / "blobs").rglob("*"))
        for path in paths:
            if path.is_file():
                info = tarfile.TarInfo(str(path.relative_to(home)))
                info.size, info.mode = path.stat().st_size, 0o600
                archive.addfile(info, io.BytesIO(path.read_bytes()))
    return lzma.compress(out.getvalue(), preset=9)


async def read(home: Path, runs: dict[str, str]) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return name -> (history, what this version says of it)."""
    sys.path.insert(0, str(REPLAY))
    import zoo  # type: ignore[import-not-found, unused-ignore]

    from agentsquad.assembly.catalogue import plugins
    from agentsquad.assembly.settings import read as settings
    from agentsquad.assembly.squad import Squad
    from agentsquad.kernel.registry import Registry
    from agentsquad.runtime.determinism.export import collect
    from agentsquad.runtime.determinism.history import dump

    squad = Squad(settings({"SQUAD_HOME": str(home)}), Registry([*plugins(), zoo.plugin]))
    found = {}
    for run, name in runs.items():
        ledger = squad.ledger
        history = await collect(ledger.store, ledger.blobs, squad.registry, run, personal=True)
        facts = {"run": run, "verdict": history.verdict, "events": history.count}
        found[name] = (dump(history), facts)
    await squad.close()
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
