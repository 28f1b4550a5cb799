"""What attestation offers: its actions, who may use them, and its adapters."""

from __future__ import annotations

from typing import Any

from agentsquad.kernel.registry import Plugin
from agentsquad.trust.attestation.actions import (
    checkpoint,
    export,
    prove,
    prove_log,
    rotate_key,
)
from agentsquad.trust.attestation.contract import Files, Notary

_ACCESS = """package attestation.access

actions := {"log.checkpoint", "log.export", "log.rotate_key", "attest.prove"}

who := split(input.actor, ":")[0]

allow contains {"clause": "attestation.access.person", "reason": "a person proves"} if {
	who == "person"
}

allow contains {"clause": "attestation.access.service", "reason": "heads on schedule"} if {
	who in {"service", "schedule"}
	input.action == "log.checkpoint"
}
"""


def notary(settings: Any) -> Notary:
    """Return the notary whose key lies in the home."""
    from agentsquad.trust.attestation.adapters.ed25519 import HomeNotary

    return HomeNotary(settings.home / "keys")


def files(settings: Any) -> Files:
    """Return the machine's files."""
    from agentsquad.trust.attestation.adapters.files import LocalFiles

    return LocalFiles()


plugin = Plugin(
    name="attestation",
    actions=(checkpoint, rotate_key, prove_log, export, prove),
    ports={Notary: notary, Files: files},
    policies={"attestation/access.rego": _ACCESS},
)
