"""Writes the lock of gRPC's field numbers and the protobuf file made with them.

`--check` only says whether they are as the specs are, for continuous
integration.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from agentsquad.assembly.catalogue import plugins
from agentsquad.kernel.registry import Registry
from agentsquad.surfaces.gateway.operation import operations
from agentsquad.surfaces.grpc.description import Description, source
from agentsquad.surfaces.grpc.numbering import LOCK, locked, written

ROOM = Path(__file__).parent.parent / "src" / "agentsquad" / "surfaces" / "grpc"
PROTO = Path(__file__).parent.parent / "docs" / "reference" / "squad.proto"


class Offered:
    """What a gateway offers, without one."""

    def __init__(self, registry: Registry) -> None:
        self._found = sorted(
            (one for one in operations(registry) if not one.local), key=lambda one: one.action
        )

    def operations(self) -> Any:
        """Return what may be called from afar."""
        return self._found


def main() -> int:
    """Write, or check."""
    registry = Registry(plugins())
    described = Description(Offered(registry), registry, locked())  # type: ignore[arg-type]
    wanted = {ROOM / LOCK: written(described.numbers), PROTO: source(described.file).encode()}
    stale = [
        path for path, text in wanted.items() if not path.exists() or path.read_bytes() != text
    ]
    if "--check" in sys.argv:
        for path in stale:
            print(f"{path.name} is not as the specs are: run tools/grpc_fields.py")
        return 1 if stale else 0
    for path in stale:
        path.write_bytes(wanted[path])
        print(f"wrote {path.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
