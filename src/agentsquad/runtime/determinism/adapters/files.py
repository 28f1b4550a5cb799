"""Exported tests as files."""

from __future__ import annotations

from pathlib import Path

from agentsquad.kernel.errors import InvalidError


class DiskExportedFiles:
    """The file system; folders are made."""

    def write(self, path: str, text: str) -> None:
        """Write a file whole, over the one that is there."""
        target = Path(path)
        draft = target.with_name(f".{target.name}.draft")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            draft.write_text(text, "utf-8")
            draft.replace(target)
        except OSError as error:
            raise InvalidError(
                f"{path} cannot be written: {error.strerror}",
                code="export.file",
                hint="name a file in a folder you may write to",
            ) from error
