"""What determinism offers: replay, fork and tests made of runs."""

from __future__ import annotations

from typing import Any

from agentsquad.kernel.registry import Plugin
from agentsquad.runtime.determinism.actions import export_test, fork_run, replay_run
from agentsquad.runtime.determinism.contract import ExportedFiles

_EXPORT = """package determinism.export

actions := {"runs.export_test"}

allow contains {"clause": "determinism.export.person", "reason": "a person makes a test"} if {
	startswith(input.actor, "person:")
}
"""


def exported_files(settings: Any) -> ExportedFiles:
    """Return where exported tests are written."""
    from agentsquad.runtime.determinism.adapters.files import DiskExportedFiles

    return DiskExportedFiles()


plugin = Plugin(
    name="determinism",
    actions=(replay_run, fork_run, export_test),
    ports={ExportedFiles: exported_files},
    policies={"determinism/export.rego": _EXPORT},
)
