"""What trials offer: `squad test`, its workers and its extra."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from agentsquad.kernel.registry import Plugin
from agentsquad.operations.trials.actions import batch, test
from agentsquad.operations.trials.contract import Explorer, TrialExtraError, TrialFiles, Workers

_ACCESS = """package trials.access

actions := {"trials.test", "trials.batch"}

allow contains {"clause": "trials.access.person", "reason": "a person tries a workflow"} if {
	startswith(input.actor, "person:")
}
"""
WORKER = "agentsquad.assembly.worker"  # the entry of a process that is told what to do


def explorer(settings: Any) -> Explorer:
    """Return what draws and shrinks; TrialExtraError without the extra."""
    if find_spec("hypothesis") is None:
        raise TrialExtraError(
            "install 'agentsquad[trials]'", hint="pip install 'agentsquad[trials]'"
        )
    from agentsquad.operations.trials.adapters.explorer import HypothesisExplorer

    return HypothesisExplorer()


def workers(settings: Any) -> Workers:
    """Return the worker processes of an installation."""
    from agentsquad.operations.trials.adapters.processes import ProcessWorkers

    return ProcessWorkers(WORKER, str(settings.home))


def trial_files(settings: Any) -> TrialFiles:
    """Return the reader and writer of users' files."""
    from agentsquad.operations.trials.adapters.files import DiskTrialFiles

    return DiskTrialFiles()


plugin = Plugin(
    name="trials",
    actions=(test, batch),
    ports={Explorer: explorer, Workers: workers, TrialFiles: trial_files},
    policies={"trials/access.rego": _ACCESS},
)
