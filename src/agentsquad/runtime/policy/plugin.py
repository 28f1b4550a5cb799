"""What policy offers: its actions, the Rego compiler and the policy folder.

Assembly builds the engine itself with `load_policy`, because the rules come
from every plugin mounted.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from agentsquad.kernel.registry import Plugin
from agentsquad.runtime.policy.actions import ask, check, show, test
from agentsquad.runtime.policy.contract import CompiledPolicy, PolicyCompiler, PolicyFolder
from agentsquad.runtime.policy.rulebook import files_of

if TYPE_CHECKING:
    from agentsquad.runtime.policy.adapters.rego import RegoCompiler


def load_policy(plugins: Iterable[Plugin], folder: str | None = None) -> CompiledPolicy:
    """Return the policy of all mounted plugins and of the user's folder.

    Bind the result to the port `kernel.policy.PolicyEngine`.
    """
    files = files_of(plugins)
    if folder is not None:
        files += policy_folder(None).read([folder], tests=False)
    return compiler(None).compile(files)


def compiler(settings: Any) -> RegoCompiler:
    """Return the Rego compiler."""
    from agentsquad.runtime.policy.adapters.rego import RegoCompiler

    return RegoCompiler()


def policy_folder(settings: Any) -> PolicyFolder:
    """Return the reader of policy folders."""
    from agentsquad.runtime.policy.adapters.folder import DiskPolicyFolder

    return DiskPolicyFolder()


plugin = Plugin(
    name="policy",
    actions=(ask, check, show, test),
    ports={PolicyCompiler: compiler, PolicyFolder: policy_folder},
)
