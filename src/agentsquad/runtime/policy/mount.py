"""Mount: the generated Rego that hands each package to the decision rules.

Written out instead of looked up at run time, because a rule that walks all of
`data` would depend on itself, and because only packages that govern the action
asked about should cost anything.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from agentsquad.runtime.policy.contract import PackageInfo
from agentsquad.runtime.policy.rulebook import prefixes

PARTS = ("deny", "allow", "obligations")
"""The sets a package may contribute."""

NAME = "squad/mounted.rego"


def mounted(packages: Iterable[PackageInfo]) -> str:
    """Return the module `squad.mounted` for these packages."""
    lines = ["package squad.mounted"]
    lines += [f"{part} contains 0 if false" for part in PARTS]  # each part always exists
    for package in packages:
        governs = ", ".join(json.dumps(prefix) for prefix in prefixes(package.actions))
        for part in package.parts:
            lines.append(
                f'{part} contains {{"package": "{package.name}", "given": given}} if {{\n'
                f"\tstrings.any_prefix_match(data.squad.subject, {{{governs}}})\n"
                f"\tsome given in data.{package.name}.{part}\n}}"
            )
    return "\n\n".join(lines) + "\n"
