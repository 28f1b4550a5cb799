"""What nets offer: the check, and files of this machine to read."""

from __future__ import annotations

from typing import Any

from agentsquad.kernel.registry import Plugin
from agentsquad.runtime.control.net.actions import check_file
from agentsquad.runtime.control.net.contract import NetFile, NetMissingError, NetUnreadableError

SIZE_MAX = 256 * 2**20


def _local_files(settings: Any) -> NetFile:
    from agentsquad.runtime.control.adapters.files import LocalFiles

    return LocalFiles(SIZE_MAX, NetMissingError, NetUnreadableError)


plugin = Plugin(name="net", actions=(check_file,), ports={NetFile: _local_files})
