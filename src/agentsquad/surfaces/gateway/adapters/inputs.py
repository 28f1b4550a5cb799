"""Files that came with calls and are read by runs, kept by what is in them."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from agentsquad.surfaces.gateway.contract import File

DIGITS = 32


class InputFolder:
    """A folder of folders, each named by the digest of what it holds: the same
    files sent again are the same path, so a run that is named by its input is
    found again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()  # runs remember it, wherever they go on

    def keep(self, files: Sequence[File], *, folder: bool) -> str:
        """Keep files; return the path of the folder, or of the only file."""
        state = hashlib.sha256(b"folder" if folder else b"file")
        for file in sorted(files, key=lambda one: one.name):
            name = file.name.encode()
            state.update(b"%d:%s%d:" % (len(name), name, len(file.data)))
            state.update(file.data)
        place = self._folder / state.hexdigest()[:DIGITS]
        if not place.exists():
            self._write(place, files)
        return str(place if folder else place / files[0].name)

    def _write(self, place: Path, files: Sequence[File]) -> None:
        """Write all of them, then give the folder its name: a crash leaves
        nothing that looks whole."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        made = Path(tempfile.mkdtemp(prefix=".new-", dir=self._folder))
        try:
            for file in files:
                path = made / file.name
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("wb") as out:
                    out.write(file.data)
                    out.flush()
                    os.fsync(out.fileno())
            made.rename(place)
        except FileExistsError:  # somebody else was quicker, with the same
            shutil.rmtree(made)
        except OSError:
            shutil.rmtree(made, ignore_errors=True)
            if not place.exists():
                raise
