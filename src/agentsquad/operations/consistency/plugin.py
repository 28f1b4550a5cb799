"""What consistency offers: the check, and files of this machine to read."""

from __future__ import annotations

from typing import Any

from agentsquad.kernel.registry import Plugin
from agentsquad.operations.consistency.actions import check
from agentsquad.operations.consistency.contract import HistoryFile


def _local_files(settings: Any) -> HistoryFile:
    from agentsquad.operations.consistency.adapters.local import LocalHistoryFile

    return LocalHistoryFile()


plugin = Plugin(name="consistency", actions=(check,), ports={HistoryFile: _local_files})
