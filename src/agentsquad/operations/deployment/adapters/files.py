"""Reading users' code from the file system."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from agentsquad.operations.deployment.contract import Source, SourceError
from agentsquad.operations.deployment.source import gathered, named

TAKEN = (".py", ".rego", ".json")  # code, rules and their data
START = "name a .py file, a folder of Python modules, or a .yaml manifest"


class DiskSourceFiles:
    """The file system."""

    def read(self, path: str) -> Source:
        """Return the code of a file or folder."""
        at = Path(path)
        if at.is_dir():
            return _folder(at, path)
        if not at.is_file():
            raise SourceError(f"there is no file {path}", code="deploy.file", hint=START)
        if at.suffix != ".py":
            raise SourceError(f"{path} is not a Python file", code="deploy.file", hint=START)
        if not at.stem.isidentifier():
            raise SourceError(
                f"{at.name} is no name of a Python module",
                code="deploy.file",
                hint=f"call it {_identifier(at.stem)}.py",
            )
        folder = at.resolve().parent
        files = gathered(at.name, _bytes(at), lambda name: _beside(folder, name))
        for suffix in (".rego", ".json"):
            rules = at.with_suffix(suffix)
            if rules.is_file():
                files[rules.name] = _bytes(rules)
        return named(files, at.stem, at.stem, path)


def _folder(at: Path, path: str) -> Source:
    top = at.resolve().name
    if not top.isidentifier():
        raise SourceError(
            f"{top} is no name of a Python package",
            code="deploy.file",
            hint=f"call the folder {_identifier(top)}",
        )
    files = _tree(at.resolve(), top)
    for entry in ("plugin", "__init__"):
        if f"{top}/{entry}.py" in files:
            return named(files, top if entry == "__init__" else f"{top}.{entry}", top, path)
    raise SourceError(
        f"{path} has neither plugin.py nor __init__.py",
        code="deploy.file",
        hint="write plugin.py with plugin = Plugin(…), or import the workflows in __init__.py",
    )


def _beside(folder: Path, name: str) -> Mapping[str, bytes]:
    file = folder / f"{name}.py"
    if file.is_file():
        return {file.name: _bytes(file)}
    package = folder / name
    return _tree(package, name) if (package / "__init__.py").is_file() else {}


def _tree(folder: Path, top: str) -> dict[str, bytes]:
    found = {}
    for file in sorted(folder.rglob("*")):
        inner = file.relative_to(folder)
        hidden = any(part.startswith((".", "__pycache__")) for part in inner.parts)
        if file.suffix in TAKEN and file.is_file() and not hidden:
            found[f"{top}/{inner.as_posix()}"] = _bytes(file)
    return found


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise SourceError(
            f"{file} cannot be read: {error.strerror}", code="deploy.file", hint=START
        ) from error


def _identifier(text: str) -> str:
    word = "".join(letter if letter.isalnum() else "_" for letter in text)
    return word if word.isidentifier() else f"flow_{word}"
