"""The frame of a function while it is compiled: names, routes and reasons."""

from __future__ import annotations

import ast
from typing import Any, NamedTuple

from agentsquad.runtime.control.net.module import Function, Module


class Routes(NamedTuple):
    """Where the code goes when it does not go on: it returns, fails, leaves
    its loop or begins the next round."""

    done: int
    error: int
    leave: int | None = None
    again: int | None = None

    def with_error(self, place: int) -> Routes:
        """Return these with another place for errors."""
        return self._replace(error=place)


class Latch(NamedTuple):
    """A latch: the place it is closed in, and the one it is open in."""

    name: str
    closed: int
    opened: int


class Later(NamedTuple):
    """A coroutine that was made and not awaited yet, and where it was made."""

    call: ast.expr
    frame: Frame


class Local(NamedTuple):
    """A function of the file or of a workflow, and the names it sees."""

    node: Function | ast.Lambda
    frame: Frame | None
    module: Module


class Frame:
    """One call of a function: the values its names are known to have.

    Values are "ctx", "saga", a Latch, a Later or a Local; a name that is not
    there may be anything.
    """

    def __init__(
        self,
        node: Function | ast.Lambda,
        routes: Routes,
        module: Module,
        outer: Frame | None = None,
    ) -> None:
        self.node = node
        self.routes = routes
        self.module = module
        self.outer = outer
        self.names: dict[str, Any] = {}
        self.because: list[str] = []
        self.ended = "ends"
        self.depth = 0
        self._stable = _once_bound(node)

    def bind(self, name: str, value: Any) -> None:
        """Give a name a value."""
        self.names[name] = value

    def define(self, node: Function) -> None:
        """Give a function's name to it."""
        self.names[node.name] = Local(node, self, self.module)

    def look(self, name: str) -> Any:
        """Return what a name is known to be, or None."""
        if name in self.names:
            return self.names[name]
        return self.outer.look(name) if self.outer is not None else None

    def forget(self, target: ast.expr) -> None:
        """Know nothing more of the names in a target."""
        for node in ast.walk(target):
            if isinstance(node, ast.Name):
                self.names[node.id] = None

    def enter_loop(self, leave: int, again: int) -> Routes:
        """Set the routes of a loop; return those around it."""
        before = self.routes
        self.routes = before._replace(leave=leave, again=again)
        return before

    def condition(self, test: ast.expr) -> tuple[str | None, bool]:
        """Return the text of a condition whose answer cannot change, and
        whether it is turned round; None where it may change."""
        turned = False
        while isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            test, turned = test.operand, not turned
        for node in ast.walk(test):
            if isinstance(node, ast.Call | ast.Await | ast.NamedExpr):
                return None, False
            if isinstance(node, ast.Name) and node.id not in self._stable:
                return None, False
        return ast.unparse(test), turned


def _once_bound(node: Function | ast.Lambda) -> set[str]:
    """Return the names of a function that have one value throughout: its
    parameters and what is assigned once, outside of loops."""
    counts: dict[str, int] = {}
    every = [*node.args.args, *node.args.kwonlyargs, *node.args.posonlyargs]
    for arg in every:
        counts[arg.arg] = 1

    def look(one: ast.AST, repeated: bool) -> None:
        inside = repeated or isinstance(one, ast.For | ast.AsyncFor | ast.While | ast.comprehension)
        if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store | ast.Del):
            counts[one.id] = counts.get(one.id, 0) + (2 if repeated else 1)
        if isinstance(one, ast.For | ast.AsyncFor):
            look(one.target, True)
        for name in _changed(one):
            counts[name] = counts.get(name, 0) + 2
        for inner in ast.iter_child_nodes(one):
            look(inner, inside)

    body = node.body if isinstance(node.body, list) else [node.body]
    for one in body:
        look(one, False)
    return {name for name, count in counts.items() if count == 1}


def _changed(one: ast.AST) -> list[str]:
    """Return the names whose values a node may change without binding them."""
    if isinstance(one, ast.Attribute | ast.Subscript) and isinstance(one.ctx, ast.Store | ast.Del):
        return [node.id for node in ast.walk(one.value) if isinstance(node, ast.Name)]
    if not isinstance(one, ast.Call):
        return []
    called = one.func
    if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name):
        # What goes to the context is copied; other methods may change theirs.
        return [] if called.value.id in ("ctx", "context", "saga") else [called.value.id]
    return [arg.id for arg in one.args if isinstance(arg, ast.Name)]
