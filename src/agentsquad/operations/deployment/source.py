"""Source: which modules a piece of code is made of, and the digest that names
it.

Pure. What a file imports from beside itself belongs to it; what is installed
does not, and is not covered by the digest.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Mapping

from agentsquad.kernel.hashing import digest, digest_bytes
from agentsquad.operations.deployment.contract import Source, SourceError

SIZE_MAX = 8 * 1024 * 1024
FILES_MAX = 2_000

Beside = Callable[[str], Mapping[str, bytes]]


def named(files: Mapping[str, bytes], entry: str, name: str, origin: str = "") -> Source:
    """Return files as source under their digest."""
    size = sum(map(len, files.values()))
    if len(files) > FILES_MAX or size > SIZE_MAX:
        raise SourceError(
            f"{origin or name} holds {len(files)} files of {size} bytes together; "
            f"at most {FILES_MAX} of {SIZE_MAX}",
            hint="deploy only what the workflows need; install the rest as a package",
        )
    ordered = dict(sorted(files.items()))
    listed = {path: digest_bytes(data) for path, data in ordered.items()}
    return Source(
        name=name,
        entry=entry,
        files=ordered,
        digest=digest({"entry": entry, "files": listed}),
        origin=origin,
    )


def gathered(first: str, text: bytes, beside: Beside) -> dict[str, bytes]:
    """Return a file and all it imports from its own folder, directly or not.

    `beside` returns the files of a module or package of that folder by its
    name, none where there is no such thing.
    """
    files = {first: text}
    known: set[str] = set()
    open_ = [first]
    while open_:
        path = open_.pop()
        if not path.endswith(".py"):
            continue
        for name in sorted(imported(path, files[path])):
            if name in known or name == "agentsquad":
                continue
            known.add(name)
            more = {at: data for at, data in beside(name).items() if at not in files}
            files |= more
            open_ += more
    return files


def imported(path: str, text: bytes) -> set[str]:
    """Return the first words of all that a module imports; for a relative
    import, the name beside it."""
    found: set[str] = set()
    depth = path.count("/")
    for node in ast.walk(parsed(path, text)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level > depth:
            names = [node.module] if node.module else [alias.name for alias in node.names]
            found |= {name.partition(".")[0] for name in names}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            found.add(node.module.partition(".")[0])
    return found


def parsed(path: str, text: bytes) -> ast.Module:
    """Return the syntax tree; SourceError says in which line it breaks."""
    try:
        return ast.parse(text, path)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None) or 1
        said = getattr(error, "msg", None) or str(error)
        raise SourceError(f"{path}:{line}: {said}", hint="it is not Python") from error


def modules(paths: Iterable[str]) -> dict[str, tuple[str, bool]]:
    """Return dotted module name -> (path, whether it is a package)."""
    found: dict[str, tuple[str, bool]] = {}
    for path in paths:
        if not path.endswith(".py"):
            continue
        *folders, file = path.removesuffix(".py").split("/")
        if file == "__init__":
            found[".".join(folders)] = (path, True)
        else:
            found[".".join([*folders, file])] = (path, False)
    return found
