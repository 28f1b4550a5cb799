"""A small house with every kind of room, written to a folder.

The contracts are tried on it: clean it must pass, and every planted import must
be reported.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

ROOM = ("contract", "actions", "noun", "plugin", "adapters/technology")

ROOMS = (
    "runtime/ledger",
    "runtime/policy",
    "runtime/resilience",
    "runtime/engine",
    "runtime/determinism",
    "runtime/transactions",
    "runtime/control",
    "workforce/agents",
    "trust/attestation",
    "trust/identity",
    "insight/bi",
    "integrations/formats",
    "integrations/connectors/ai/openai",
    "integrations/connectors/ai/local",
    "operations/backup",
    "solutions/purchase_to_pay",
    "solutions/kyc_screening",
)

PLAIN = (
    "kernel/errors",
    "kernel/action",
    "surfaces/gateway/dispatch",
    "surfaces/cli/main",
    "surfaces/rest/app",
    "assembly/settings",
    "testing/clock",
)

# What a correct house imports: each line here is allowed by the rules.
ALLOWED: dict[str, str] = {
    "runtime/ledger/contract": "from agentsquad.kernel import errors",
    "runtime/ledger/plugin": "from agentsquad.runtime.ledger.adapters import technology",
    "runtime/ledger/adapters/technology": "import apsw, socket, subprocess",
    "runtime/engine/noun": "from agentsquad.runtime.ledger import noun",
    "runtime/engine/actions": "from agentsquad.runtime.engine import contract, noun",
    "workforce/agents/noun": "from agentsquad.trust.identity import contract",
    "integrations/connectors/ai/openai/adapters/technology": "import httpx",
    "solutions/purchase_to_pay/noun": "from agentsquad.workforce.agents import noun",
    "surfaces/cli/main": "import click\nfrom agentsquad.surfaces.gateway import dispatch",
    "assembly/settings": "from agentsquad.runtime.ledger import plugin",
    "testing/clock": "from agentsquad.assembly import settings",
}


def build(folder: Path, planted: Mapping[str, str]) -> Path:
    """Write the house with `planted` imports (module path → statement) and
    return its root.
    """
    modules = {f"{room}/{name}" for room in ROOMS for name in ROOM} | set(PLAIN)
    texts = {name: ALLOWED.get(name, "") for name in modules | set(planted)}
    for name, statement in planted.items():
        texts[name] = f"{texts[name]}\n{statement}"
    root = folder / "agentsquad"
    for name, text in texts.items():
        file = root / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")
        for parent in [file.parent, *file.parent.parents]:
            if not parent.is_relative_to(root):
                break
            (parent / "__init__.py").touch()
    return folder
