"""Policy files in folders of this machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from agentsquad.kernel import canonical
from agentsquad.runtime.policy.contract import (
    PolicyFile,
    PolicyFileError,
    PolicyInvalidError,
    Problem,
)

_WRITTEN_ELSEWHERE = (".yaml", ".yml", ".toml", ".cedar")


class DiskPolicyFolder:
    """Reads `*.rego` and `*.json`; names are relative to the folder given."""

    def read(self, paths: Sequence[str], *, tests: bool) -> tuple[PolicyFile, ...]:
        """Return the files named, and of each folder all within it."""
        found: list[PolicyFile] = []
        for path in map(Path, paths):
            if path.is_dir():
                found += (_read(file, file.relative_to(path)) for file in _inside(path, tests))
            elif path.is_file():
                found.append(_read(path, Path(path.name)))
            else:
                raise PolicyFileError(
                    f"no policy file or folder {str(path)!r}", hint="expected *.rego or *.json"
                )
        return tuple(found)

    def document(self, path: str) -> Any:
        """Return one JSON document."""
        try:
            return canonical.loads(Path(path).read_bytes())
        except OSError as error:
            raise PolicyFileError(
                f"cannot read {path!r}: {error.strerror}", hint="expected a file holding JSON"
            ) from None


def _inside(folder: Path, tests: bool) -> Iterator[Path]:
    for file in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
        if hidden or not file.is_file():
            continue
        if file.suffix in _WRITTEN_ELSEWHERE:
            raise PolicyInvalidError(
                [
                    Problem(
                        file=str(file),
                        line=1,
                        column=1,
                        message=f"policy is not read from {file.suffix} files",
                        hint="write rules as *.rego and data as *.json, or move the file elsewhere",
                    )
                ]
            )
        if file.suffix in (".rego", ".json") and (tests or not file.stem.endswith("_test")):
            yield file


def _read(file: Path, name: Path) -> PolicyFile:
    try:
        text = file.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise PolicyInvalidError(
            [
                Problem(
                    file=str(file),
                    line=1,
                    column=1,
                    message=f"not UTF-8 at byte {error.start}",
                    hint="save the file as UTF-8",
                )
            ]
        ) from None
    return PolicyFile(name=name.as_posix(), text=text, origin=str(file), layer=2)
