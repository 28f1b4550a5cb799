"""Ids of runs: a key names the same run for ever."""

from __future__ import annotations

import base64
import hashlib


def keyed_id(workflow: str, key: str) -> str:
    """Return the run id that a workflow's key always gives."""
    digest = hashlib.sha256(f"{workflow}\n{key}".encode()).digest()
    return "k" + base64.b32encode(digest).decode().lower()[:25]
