"""Measures the attack rules: what they find of attacks, and how often they
alarm for nothing.

`--rules` is a folder of the OWASP Core Rule Set, `--cases` one of attack cases:
YAML files with `payload` and `type`, as GoTestWAF keeps them (its `false-pos`
are harmless). Each payload is sent in a query, in JSON and in a form. Harmless
are besides: the paragraphs and the code of our own documentation as fields of a
call, the examples of every action, and X12 files. Told are shares by family at
the default threshold, and processor time of a request.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from agentsquad.trust.threats.adapters.modsecurity import CoreRules
from agentsquad.trust.threats.contract import Hit

ROOT = Path(__file__).parents[1]
THRESHOLD = 5
BODY_MAX = 64_000
HEADERS = {"host": "squad.example", "user-agent": "python-httpx/0.28", "accept": "*/*"}


def in_query(text: str) -> Hit:
    """Return a reading with a text in its query."""
    return Hit(
        surface="rest", method="GET", path="/v1/runs", query=f"q={quote(text)}", headers=HEADERS
    )


def in_body(body: bytes, kind: str, path: str = "/v1/actions/messages.publish") -> Hit:
    """Return a call with a body."""
    headers = {**HEADERS, "content-type": kind, "content-length": str(len(body))}
    return Hit(surface="rest", method="POST", path=path, headers=headers, body=body)


def in_json(value: Any) -> Hit:
    """Return a call with JSON."""
    return in_body(json.dumps(value).encode(), "application/json")


def in_form(text: str) -> Hit:
    """Return a call with a form."""
    return in_body(f"q={quote(text)}".encode(), "application/x-www-form-urlencoded")


def attacks(folder: Path) -> Iterator[tuple[str, str, list[Hit]]]:
    """Return (family, payload, the ways it is sent)."""
    for file in sorted(folder.rglob("*.yml")):
        try:
            read = yaml.safe_load(file.read_text())
        except yaml.YAMLError:
            print(f"not read, no valid YAML: {file.name}")
            continue
        for payload in read.get("payload") or ():
            if not isinstance(payload, str) or len(payload) > BODY_MAX:
                continue
            family = "harmless" if file.parent.name == "false-pos" else str(read["type"])
            text = payload.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            yield family, text, [in_query(text), in_json({"text": text}), in_form(text)]


def harmless(x12: Path | None) -> Iterator[tuple[str, Hit]]:
    """Return (what it is, a request) of ordinary use."""
    for page in sorted((ROOT / "docs").rglob("*.md")):
        for part in page.read_text().split("\n\n"):
            if part.strip():
                yield "documentation", in_json({"topic": "docs", "payload": {"text": part}})
    for one in json.loads((ROOT / "src/agentsquad/assembly/index.json").read_text()):
        examples = {
            field["name"]: field["examples"][0]
            for field in one.get("fields", ())
            if field.get("examples")
        }
        yield "calls", in_json(examples)
        for value in examples.values():
            yield "calls", in_query(str(value))
    folders = [ROOT / "src", *([x12] if x12 else [])]
    for folder in folders:
        for file in sorted(folder.rglob("*.edi")):
            text = file.read_text("latin-1")[:BODY_MAX]
            yield "X12", in_json({"files": [{"name": file.name, "text": text}]})


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rules", type=Path, required=True)
    parser.add_argument("--cases", type=Path, required=True)
    parser.add_argument("--x12", type=Path, help="a folder of X12 files besides those of ours")
    parser.add_argument("--paranoia", type=int, default=1)
    parser.add_argument("--missed", action="store_true", help="print what went wrong")
    options = parser.parse_args()
    rules = CoreRules(options.rules, options.paranoia)
    print(rules.about)
    count: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    spent = requests = 0.0

    def alarmed(hit: Hit) -> list[str]:
        nonlocal spent, requests
        began = time.process_time()
        found = rules.inspect(hit)
        spent += time.process_time() - began
        requests += 1
        return [one.rule for one in found] if sum(o.score for o in found) >= THRESHOLD else []

    for family, text, hits in attacks(options.cases):
        for hit in hits:
            found = alarmed(hit)
            count[family][0] += bool(found)
            count[family][1] += 1
            if options.missed and bool(found) is (family == "harmless"):
                print(f"  {family}: {text[:90]!r} {found}")
    kinds = set(count) - {"harmless"}
    ours: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for what, hit in harmless(options.x12):
        found = alarmed(hit)
        ours[what][0] += bool(found)
        ours[what][1] += 1
        if options.missed and found:
            print(f"  {what}: {hit.body[:90] or hit.query!r} {found}")
    print(f"{'attacks':32} found")
    for family in sorted(kinds):
        print(f"{family:32} {_share(count[family])}")
    print(f"{'all':32} {_share([sum(count[k][n] for k in kinds) for n in (0, 1)])}")
    print(f"{'harmless':32} alarms")
    for what, pair in sorted({**ours, "cases that look like attacks": count["harmless"]}.items()):
        print(f"{what:32} {_share(pair)}")
    print(f"{1000 * spent / requests:.2f} ms of processor time a request")


def _share(pair: list[int]) -> str:
    return f"{pair[0]:5} of {pair[1]:5}  {100 * pair[0] / max(1, pair[1]):5.1f} %"


if __name__ == "__main__":
    main()
