"""Files: finding weights in packages and making sure they are the pinned
ones.
"""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path

from agentsquad.integrations.connectors.ai.contract import ModelExtraError, WeightsError
from agentsquad.integrations.connectors.ai.local.weights import Weights

EXTRA = "install 'agentsquad[local]'"


def folder_of(weights: Weights) -> Path:
    """Return where a package lies, without importing it; ModelExtraError if it
    is not there.
    """
    spec = find_spec(weights.module)
    if spec is None or spec.origin is None:
        raise ModelExtraError(
            f"the weights of {weights.name} are not here: {EXTRA}",
            hint="make install-local, or set SQUAD_LOCAL_MODEL to a GGUF file",
        )
    return Path(spec.origin).parent


def verified(weights: Weights) -> dict[str, Path]:
    """Return the files of a model; WeightsError when one is not what was
    pinned.
    """
    folder = folder_of(weights)
    return {name: check(folder / name, digest) for name, digest in weights.files.items()}


def check(path: Path, digest: str) -> Path:
    """Return the path if its bytes have this digest."""
    try:
        with path.open("rb") as file:
            found = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(
            f"the weights {path.name} cannot be read", hint=EXTRA, private=repr(error)
        ) from error
    if found != digest:
        raise WeightsError(
            f"the weights {path.name} are not the pinned ones",
            hint="install the version of the package that the lock file names",
            details={"expected": digest, "found": found},
        )
    return path
