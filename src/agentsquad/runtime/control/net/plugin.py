"""What nets offer: the check, and files of this machine to read."""

from __future__ import annotations

from typing import Any

from agentsquad.kernel.registry import Plugin
from agentsquad.runtime.control.net.actions import check_file
from agentsquad.runtime.control.net.contract import NetFile


def _local_files(settings: Any) -> NetFile:
    from agentsquad.runtime.control.net.adapters.local import LocalNetFile

    return LocalNetFile()


plugin = Plugin(name="net", actions=(check_file,), ports={NetFile: _local_files})
