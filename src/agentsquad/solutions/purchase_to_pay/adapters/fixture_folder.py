"""The shipped orders on this machine's disk, and a place for generated ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from agentsquad.solutions.purchase_to_pay.contract import FolderError


class DiskFixtureFolder:
    """The folder inside the installed package."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def shipped(self) -> str:
        """Return the folder of the orders that ship with the product."""
        return str(self.root)

    def few(self) -> str:
        """Return the folder beside it that holds a few orders."""
        return f"{self.root}_few"

    def write(self, folder: str, files: Mapping[str, bytes]) -> str:
        """Write files into an empty or new folder and return its path."""
        root = Path(folder)
        if root.exists() and (not root.is_dir() or any(root.iterdir())):
            raise FolderError(
                f"{folder!r} is not empty", hint="name a folder that does not exist yet"
            )
        try:
            for name, data in files.items():
                path = root / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
        except OSError as error:
            raise FolderError(
                f"cannot write into {folder!r}: {error.strerror}",
                hint="name a folder that can be made, on a disk with room",
            ) from error
        return str(root)
