"""Modules of Python workflows: their functions, and those they import.

A function that is imported from a file beside, or from a package around the
workflow's own file, is followed there; nothing is imported or run.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import PurePath

Function = ast.FunctionDef | ast.AsyncFunctionDef
Reader = Callable[[str], str | None]
HOPS_MAX = 6
UP_MAX = 8


class Module:
    """The functions of one file, and where its other names come from."""

    def __init__(
        self, functions: dict[str, Function], imports: dict[str, tuple[str, str]], file: str
    ) -> None:
        self.functions = functions
        self.imports = imports
        self.file = file

    @classmethod
    def of(cls, tree: ast.Module, file: str) -> Module:
        """Return what a file's syntax says."""
        functions: dict[str, Function] = {}
        imports: dict[str, tuple[str, str]] = {}
        for node in tree.body:
            if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef):
                functions[node.name] = node
            elif isinstance(node, ast.ImportFrom):
                origin = "." * node.level + (node.module or "")
                for name in node.names:
                    imports[name.asname or name.name] = (origin, name.name)
        return cls(functions, imports, file)


class Modules:
    """The file that is compiled, and those it imports from, read when
    needed."""

    def __init__(self, main: Module, read: Reader) -> None:
        self.main = main
        self._read = read
        self._known: dict[tuple[str, str], Module | None] = {}

    def function(self, module: Module, name: str) -> tuple[Function, Module] | None:
        """Return a function by the name a module has for it, and its home."""
        for _ in range(HOPS_MAX):
            if name in module.functions:
                return module.functions[name], module
            if name not in module.imports:
                return None
            origin, name = module.imports[name]
            found = self._module(module.file, origin)
            if found is None:
                return None
            module = found
        return None

    def _module(self, file: str, origin: str) -> Module | None:
        key = (file, origin)
        if key not in self._known:
            self._known[key] = next(self._candidates(file, origin), None)
        return self._known[key]

    def _candidates(self, file: str, origin: str) -> Iterator[Module]:
        folders = list(PurePath(file).parents)[:UP_MAX]
        level = len(origin) - len(origin.lstrip("."))
        parts = [part for part in origin[level:].split(".") if part]
        if level:
            folders = folders[level - 1 : level]
        elif not parts or parts[0] in ("typing", "collections", "asyncio", "__future__"):
            return
        for folder in folders:
            for path in (folder.joinpath(*parts, "__init__.py"), folder.joinpath(*parts)):
                name = str(path if path.suffix == ".py" else path.with_suffix(".py"))
                text = self._read(name)
                if text is None:
                    continue
                try:
                    yield Module.of(ast.parse(text), name)
                except (SyntaxError, ValueError, RecursionError):
                    continue
