"""Turns a history that Jepsen recorded into the lines that `squad consistency
check` reads: `python tools/jepsen_history.py FILE > history.jsonl`.

Two forms are known: lines of the log (`INFO jepsen.util - 0 :invoke :read nil`)
and EDN maps (`{:process 0, :type :invoke, :f :read, :value nil}`), one a line
or in one collection. Values may be numbers, nil, strings and pairs of those;
operations of the nemesis, whose process has no number, are left out.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

LOG = re.compile(r"^INFO\s+jepsen\.util\s+-\s+(\d+)\s+:(\w+)\s+:(\w+)\s+(.*?)\s*$")
MAP = re.compile(r'\{(?:[^{}"]|"[^"]*")*\}')
PART = re.compile(r':([\w-]+)\s+("[^"]*"|\[[^\]]*\]|[^\s,}]+)')
COMMENT = re.compile(r"^\s*;.*$", re.MULTILINE)


def events(text: str) -> Iterator[dict[str, Any]]:
    """Yield the events of a file's text in order."""
    found = [LOG.match(line) for line in text.splitlines()]
    if any(found):
        for match in found:
            if match:
                process, kind, f, value = match.groups()
                yield {"process": int(process), "type": kind, "f": f, "value": _value(value)}
        return
    for one in MAP.finditer(COMMENT.sub("", text)):
        parts = dict(PART.findall(one[0]))
        if parts.get("process", "").isdigit():
            event = {
                "process": int(parts["process"]),
                "type": parts["type"][1:],
                "f": parts["f"][1:],
                "value": _value(parts.get("value", "nil")),
            }
            if "key" in parts:
                event["key"] = _value(parts["key"])
            yield event


def _value(text: str) -> Any:
    if text.startswith("["):
        return [_value(part) for part in text[1:-1].split()]
    if text == "nil" or text.startswith(":"):
        return None
    return json.loads(text)


def main() -> None:
    """Print the history in the file that is named."""
    for event in events(Path(sys.argv[1]).read_text(encoding="utf-8")):
        print(json.dumps(event))


if __name__ == "__main__":
    main()
