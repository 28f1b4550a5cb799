"""A folder for the files of one call, gone with it."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from agentsquad.surfaces.gateway.contract import File


class ScratchFolder:
    """A private folder, made when the first file needs it."""

    def __init__(self) -> None:
        self._folder: Path | None = None

    @property
    def folder(self) -> Path:
        """The folder, readable by nobody else."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="squad-call-"))
        return self._folder

    def bring(self, field: str, number: int, file: File) -> str:
        """Write a file that came along; return its path."""
        place = self.folder / f"{field}-{number}"
        place.mkdir()
        path = place / file.name
        path.write_bytes(file.data)
        return str(path)

    def gather(self, field: str, files: Sequence[File]) -> str:
        """Write files into one folder; return its path."""
        place = self.folder / field
        for file in files:
            path = place / file.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(file.data)
        place.mkdir(exist_ok=True)
        return str(place)

    def room(self, field: str, name: str) -> str:
        """Return a path where something may be written."""
        place = self.folder / f"{field}-out"
        place.mkdir(exist_ok=True)
        return str(place / name)

    def made(self, field: str) -> list[File]:
        """Return what was written there, by its path below it."""
        place = self.folder / f"{field}-out"
        return [
            File(name=str(path.relative_to(place)), data=path.read_bytes())
            for path in sorted(place.rglob("*"))
            if path.is_file() and not path.is_symlink()
        ]

    def names(self, text: str) -> str:
        """Return a text with the names of files in the place of their paths."""
        if self._folder is None or str(self._folder) not in text:
            return text
        return re.sub(re.escape(str(self._folder)) + r"/[^/\s]+(/|\b)", "", text)

    def clear(self) -> None:
        """Remove everything."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
