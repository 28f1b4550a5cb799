"""An agent of LangGraph behind `squad proxy`: recorded, then run offline.

The agent knows nothing of the proxy. Fails unless the second run, of which no
request may leave, says and asks the same as the first. What it is built of
comes with `python bench/proxy.py install`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from agentsquad.testing.model_provider import provider

ROOT = Path(__file__).parents[1]
PEERS = Path(os.environ.get("BENCH_PEERS", ROOT / "build" / "bench"))
PYTHON = PEERS / "langgraph-agent" / "bin" / "python"
AGENT = (str(PYTHON), str(ROOT / "docs" / "examples" / "langgraph_agent.py"))


def squad(home: str, *words: str, **more: str) -> str:
    """Carry out a command and return what it printed."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SQUAD_", "OPENAI"))}
    found = subprocess.run(
        [sys.executable, "-m", "agentsquad.assembly.main", *words],
        env={**kept, "SQUAD_HOME": home, "SQUAD_USER": "bench", **more},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    if found.returncode:
        raise SystemExit(f"squad {' '.join(words)} ended with {found.returncode}: {found.stderr}")
    return found.stdout


def main() -> None:
    """Record it, run it again without a provider, and compare."""
    if not PYTHON.exists():
        print("LangGraph is not installed: python bench/proxy.py install")
        return
    with tempfile.TemporaryDirectory() as home:
        began = time.perf_counter()
        with provider() as there:
            base = f"{there.url}/v1"
            live = squad(
                home, "proxy", "--", *AGENT, OPENAI_BASE_URL=base, OPENAI_API_KEY="the-real-key"
            )
        asked = [one[2]["messages"][-1]["role"] for one in there.asked]
        recorded = time.perf_counter()
        run = json.loads(squad(home, "runs", "list", "-o", "json"))["items"][0]["id"]
        again = squad(home, "proxy", "--replay", run, "--", *AGENT)
        ended = time.perf_counter()
    said = live.splitlines()[0]
    if asked != ["user", "tool"] or again.splitlines()[0] != said:
        raise SystemExit(f"asked {asked}; said {said!r}, and offline {again!r}")
    if "identical: all 2 requests as recorded" not in again:
        raise SystemExit(f"not as recorded: {again}")
    print(f"an agent of LangGraph said {said!r}; 2 requests recorded, offline identical")
    print(f"live {recorded - began:.1f} s, offline {ended - recorded:.1f} s")


if __name__ == "__main__":
    main()
