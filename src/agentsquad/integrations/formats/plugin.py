"""What the formats offer: the `edi` actions, and files of this machine to read
from.
"""

from __future__ import annotations

from typing import Any

from agentsquad.integrations.formats.actions import ack, check, convert, show
from agentsquad.integrations.formats.contract import FileReader
from agentsquad.integrations.formats.flows.actions import import_flow
from agentsquad.kernel.registry import Plugin


def _local_files(settings: Any) -> FileReader:
    from agentsquad.integrations.formats.adapters.local import LocalFileReader

    return LocalFileReader()


plugin = Plugin(
    name="formats",
    actions=(check, ack, show, convert, import_flow),
    ports={FileReader: _local_files},
)
