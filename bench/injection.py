"""Measures the screening of texts for models: what it finds of attempts, and
how often it alarms for nothing.

`--set FILE.csv` (several may be given) has a column `label` (1 attempt, 0
harmless) and the text in the columns named by `--columns`. Harmless are besides
the paragraphs of our documentation and our X12 files.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from agentsquad.trust.threats.injection import screen

ROOT = Path(__file__).parents[1]


def rows(file: Path, columns: list[str]) -> Iterable[tuple[str, bool]]:
    """Return (text, whether it is an attempt)."""
    csv.field_size_limit(sys.maxsize)
    with file.open(encoding="utf-8-sig", newline="") as lines:
        for row in csv.DictReader(lines):
            if row.get("label") in ("0", "1"):
                text = "\n".join(row.get(column) or "" for column in columns)
                yield text, row["label"] == "1"


def ours() -> Iterable[tuple[str, bool]]:
    """Return harmless texts of this project."""
    for page in sorted((ROOT / "docs").rglob("*.md")):
        for part in page.read_text().split("\n\n"):
            yield part, False
    for file in sorted((ROOT / "src").rglob("*.edi")):
        yield file.read_text("latin-1"), False


def tell(name: str, texts: Iterable[tuple[str, bool]]) -> None:
    """Print the figures of one set."""
    found, alarms, attempts, harmless, letters = 0, 0, 0, 0, 0
    began = time.process_time()
    for text, attempt in texts:
        seen = screen(text).attempt
        found += seen and attempt
        alarms += seen and not attempt
        attempts += attempt
        harmless += not attempt
        letters += len(text)
    spent = time.process_time() - began
    hit = f"{found:5} of {attempts:5} found ({100 * found / attempts:4.1f} %)" if attempts else ""
    false = f"{alarms:4} of {harmless:5} false ({100 * alarms / max(1, harmless):4.1f} %)"
    print(f"{name:34} {hit:31}  {false}  {letters / spent / 1e6:.1f} MB/s")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", action="append", type=Path, default=[])
    parser.add_argument("--columns", default="text")
    options = parser.parse_args()
    for file in options.set:
        tell(file.stem, rows(file, options.columns.split(",")))
    tell("documentation and X12 of ours", ours())


if __name__ == "__main__":
    main()
