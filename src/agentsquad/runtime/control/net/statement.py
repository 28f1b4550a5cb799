"""Statements of a workflow as parts of a net: one token is where the code is.

Each statement leads from a place to a place, or to none where the code cannot
go on. Returns, errors, breaks and continues have places of their own, through
`finally` where there is one.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence

from agentsquad.runtime.control.net.awaited import Awaits
from agentsquad.runtime.control.net.frame import Frame, Routes
from agentsquad.runtime.control.net.module import Function

Block = Sequence[ast.stmt]
QUIET = (ast.Pass, ast.Import, ast.ImportFrom, ast.Global, ast.Nonlocal, ast.ClassDef)


class Statements(Awaits):
    """Compiles statements; what they await is left to `Awaits`."""

    def whole(self, node: Function, start: int, done: int, failed: int) -> None:
        """Compile a workflow between its start and its two ends."""
        params = [arg.arg for arg in node.args.args]
        frame = Frame(node, Routes(done, failed), self.modules.main)
        if params:
            frame.bind(params[0], "ctx")
        end = self.block(node.body, start, frame)
        if end is not None:
            self.build.move("return", [end], [done])

    def block(self, body: Block, at: int | None, frame: Frame) -> int | None:
        """Compile statements in order; those after the code has ended are
        compiled too, since they can never run."""
        for index, one in enumerate(body):
            if at is None:
                why = frame.ended
                at = self.build.place(f"after line {body[index - 1].lineno}")
                frame.because.append(f"the code before it (line {body[index - 1].lineno}) {why}")
                self.block(body[index:], at, frame)
                frame.because.pop()
                return None
            at = self.statement(one, at, frame)
        return at

    def statement(self, one: ast.stmt, at: int, frame: Frame) -> int | None:
        """Compile one statement; return where it leads, None if nowhere."""
        method = getattr(self, f"_{type(one).__name__.lower()}", None)
        if method is not None:
            found: int | None = method(one, at, frame)
            return found
        if isinstance(one, QUIET):
            return at
        return self._plain(one, at, frame)

    def _plain(self, one: ast.stmt, at: int, frame: Frame) -> int | None:
        after = self.expression(one, at, frame)
        if _may_raise(one):
            self.build.move(f"error at {one.lineno}", [after], [frame.routes.error])
        return after

    def _assign(self, one: ast.Assign, at: int, frame: Frame) -> int | None:
        if len(one.targets) == 1 and isinstance(one.targets[0], ast.Name):
            bound = self.bound(one.targets[0].id, one.value, at, frame)
            if bound is not None:
                return bound
        for target in one.targets:
            frame.forget(target)
        return self._plain(one, at, frame)

    def _annassign(self, one: ast.AnnAssign, at: int, frame: Frame) -> int | None:
        if isinstance(one.target, ast.Name) and one.value is not None:
            bound = self.bound(one.target.id, one.value, at, frame)
            if bound is not None:
                return bound
        frame.forget(one.target)
        return self._plain(one, at, frame)

    def _functiondef(self, one: ast.FunctionDef, at: int, frame: Frame) -> int:
        frame.define(one)
        return at

    def _asyncfunctiondef(self, one: ast.AsyncFunctionDef, at: int, frame: Frame) -> int:
        frame.define(one)
        for decorator in one.decorator_list:
            self.handler(decorator, one, frame)
        return at

    def _return(self, one: ast.Return, at: int, frame: Frame) -> None:
        after = at if one.value is None else self.expression(one.value, at, frame)
        if one.value is not None and _may_raise(one):
            self.build.move(f"error at {one.lineno}", [after], [frame.routes.error])
        self.build.move(f"return at {one.lineno}", [after], [frame.routes.done])
        frame.ended = "returns"

    def _raise(self, one: ast.Raise, at: int, frame: Frame) -> None:
        after = self.expression(one, at, frame)
        self.build.move(f"raise at {one.lineno}", [after], [frame.routes.error])
        frame.ended = "raises"

    def _break(self, one: ast.Break, at: int, frame: Frame) -> None:
        if frame.routes.leave is not None:
            self.build.move(f"break at {one.lineno}", [at], [frame.routes.leave])
        frame.ended = "leaves the loop"

    def _continue(self, one: ast.Continue, at: int, frame: Frame) -> None:
        if frame.routes.again is not None:
            self.build.move(f"continue at {one.lineno}", [at], [frame.routes.again])
        frame.ended = "begins the next round"

    def _if(self, one: ast.If, at: int, frame: Frame) -> int | None:
        after = self.expression(one.test, at, frame)
        yes, no, never = self.choice(one.test, after, frame)
        known = dict(frame.names)
        first = self._under(one.body, yes, frame, "" if never != "yes" else "is never true")
        others, frame.names = frame.names, known
        second = self._under(one.orelse, no, frame, "" if never != "no" else "is always true")
        frame.names = {**others, **frame.names}
        if never == "yes":
            first = None
        if never == "no":
            second = None
        return self.joined([first, second], f"after if at {one.lineno}")

    def _under(self, body: Block, at: int, frame: Frame, why: str) -> int | None:
        if not why:
            return self.block(body, at, frame)
        frame.because.append(f"its condition {why}")
        found = self.block(body, at, frame)
        frame.because.pop()
        return found

    def joined(self, ends: Sequence[int | None], name: str) -> int | None:
        """Lead several places to one."""
        open_ = [end for end in ends if end is not None]
        if not open_:
            return None
        if len(open_) == 1:
            return open_[0]
        place = self.build.place(name)
        for end in open_:
            self.build.move(name, [end], [place])
        return place

    def _while(self, one: ast.While, at: int, frame: Frame) -> int | None:
        line = one.lineno
        head = self.build.place(f"while at {line}")
        self.build.move(f"reach while at {line}", [at], [head])
        asked = self.expression(one.test, head, frame)
        yes, no, never = self.choice(one.test, asked, frame, repeated=True)
        leave = self.build.place(f"after while at {line}")
        outer = frame.enter_loop(leave, head)
        broke = any(_breaks(inner) for inner in one.body)
        end = self._under(one.body, yes, frame, "is never true" if never == "yes" else "")
        if end is not None:
            self.build.move(f"again at {line}", [end], [head])
        frame.routes = outer
        if never == "no" and not broke:
            frame.ended = "never ends"
            if one.orelse:
                self._under(one.orelse, no, frame, "is always true")
            return None
        if never != "no":
            done = self.block(one.orelse, no, frame)
            if done is not None:
                self.build.move(f"leave while at {line}", [done], [leave])
        return leave

    def _for(self, one: ast.For, at: int, frame: Frame) -> int | None:
        after = self.expression(one.iter, at, frame)
        return self._rounds(one, after, frame, _least(one.iter))

    def _asyncfor(self, one: ast.AsyncFor, at: int, frame: Frame) -> int | None:
        """Each round begins with what the stream does for it."""
        return self._rounds(one, at, frame, None)

    def _rounds(
        self, one: ast.For | ast.AsyncFor, at: int, frame: Frame, least: int | None
    ) -> int | None:
        build, line = self.build, one.lineno
        frame.forget(one.target)
        turn, leave, head = (
            build.place(f"round at {line}"),
            build.place(f"after for at {line}"),
            build.place(f"for at {line}"),
        )
        finished = build.place(f"no more at {line}")
        why = ""
        if least == 0:
            why = "is an empty list"
        else:
            build.move(f"first at {line}", [at], [turn])
            build.move(f"next at {line}", [head], [turn])
        if not least:
            build.move(f"none at {line}", [at], [finished])
        build.move(f"last at {line}", [head], [finished])
        outer = frame.enter_loop(leave, head)
        begun: int | None = turn
        if isinstance(one, ast.AsyncFor):
            begun = self.streamed(one.iter, turn, frame)
            build.move(f"stream fails at {line}", [turn], [frame.routes.error])
        if why:
            frame.because.append(f"what it goes through {why}")
        end = None if begun is None else self.block(one.body, begun, frame)
        if why:
            frame.because.pop()
        if end is not None:
            build.move(f"again at {line}", [end], [head])
        frame.routes = outer
        done = self.block(one.orelse, finished, frame)
        if done is not None:
            build.move(f"leave for at {line}", [done], [leave])
        return leave

    def _with(self, one: ast.With, at: int, frame: Frame) -> int | None:
        after = at
        for item in one.items:
            after = self.expression(item.context_expr, after, frame)
        return self.block(one.body, after, frame)

    def _asyncwith(self, one: ast.AsyncWith, at: int, frame: Frame) -> int | None:
        """A scope that is cancelled goes on behind it, or fails."""
        build, line = self.build, one.lineno
        for item in one.items:
            if not self.is_scope(item.context_expr, frame):
                self.unknown(f"'async with' at line {line}")
            if isinstance(item.optional_vars, ast.Name):
                frame.forget(item.optional_vars)
        leave, cut = build.place(f"after with at {line}"), build.place(f"with at {line} is cut")
        build.move(f"with at {line} goes on", [cut], [leave])
        build.move(f"with at {line} fails", [cut], [frame.routes.error])
        outer = frame.routes
        frame.routes = outer.with_error(cut)
        end = self.block(one.body, at, frame)
        frame.routes = outer
        if end is not None:
            build.move(f"leave with at {line}", [end], [leave])
        return leave

    def _try(self, one: ast.Try, at: int, frame: Frame) -> int | None:
        build, line = self.build, one.lineno
        outer = frame.routes
        routes = outer
        if one.finalbody:
            routes = self._finally(one.finalbody, outer, frame)
        caught = build.place(f"error in try at {line}")
        frame.routes = routes.with_error(caught)
        end = self.block(one.body, at, frame)
        frame.routes = routes
        if end is not None:
            end = self.block(one.orelse, end, frame)
        ends = [end]
        every = False
        for handler in one.handlers:
            begin = build.place(f"except at {handler.lineno}")
            if not every:
                build.move(f"except at {handler.lineno}", [caught], [begin])
            ends.append(self.block(handler.body, begin, frame))
            every = every or _catches_all(handler.type)
        if not every or not one.handlers:
            build.move(f"uncaught at {line}", [caught], [routes.error])
        frame.routes = outer
        after = self.joined(ends, f"after try at {line}")
        if after is not None and one.finalbody:
            return self.block(one.finalbody, after, frame)
        return after

    def _finally(self, body: Block, outer: Routes, frame: Frame) -> Routes:
        """Lead each way out of a try through its `finally`."""

        def through(to: int | None, name: str) -> int | None:
            if to is None:
                return None
            begin = self.build.place(f"finally at {body[0].lineno} before {name}")
            end = self.block(body, begin, frame)
            if end is not None:
                self.build.move(f"finally at {body[0].lineno} then {name}", [end], [to])
            return begin

        done, error = through(outer.done, "return"), through(outer.error, "error")
        assert done is not None and error is not None
        return Routes(done, error, through(outer.leave, "break"), through(outer.again, "continue"))

    def _match(self, one: ast.Match, at: int, frame: Frame) -> int | None:
        after = self.expression(one.subject, at, frame)
        ends: list[int | None] = []
        whole = False
        for case in one.cases:
            begin = self.build.place(f"case at {case.pattern.lineno}")
            if not whole:
                self.build.move(f"case at {case.pattern.lineno}", [after], [begin])
            ends.append(self.block(case.body, begin, frame))
            pattern = case.pattern
            whole = whole or (
                isinstance(pattern, ast.MatchAs) and pattern.pattern is None and case.guard is None
            )
        if not whole:
            ends.append(after)
        return self.joined(ends, f"after match at {one.lineno}")

    def choice(
        self, test: ast.expr, at: int, frame: Frame, *, repeated: bool = False
    ) -> tuple[int, int, str]:
        """Return where a condition leads if it holds and if not, and which of
        the two ("yes", "no") never happens.

        A condition asked twice of values that do not change has the same
        answer twice.
        """
        build, line = self.build, test.lineno
        yes, no = build.place(f"true at {line}"), build.place(f"false at {line}")
        value = constant(test)
        if value is not None:
            build.move(f"decided at {line}", [at], [yes if value else no])
            return yes, no, "no" if value else "yes"
        key, turned = frame.condition(test)
        if key is None or repeated:
            build.move(f"true at {line}", [at], [yes])
            build.move(f"false at {line}", [at], [no])
            return yes, no, ""
        known = self.answers.get((id(frame), key))
        if known is None:
            known = (build.place(f"open {key}", 1), build.place(key), build.place(f"not {key}"))
            self.answers[id(frame), key] = known
        open_, held, failed = known
        if turned:
            held, failed = failed, held
        build.move(f"true at {line}", [at, open_], [yes, held])
        build.move(f"false at {line}", [at, open_], [no, failed])
        build.move(f"still true at {line}", [at], [yes], reads=[held])
        build.move(f"still false at {line}", [at], [no], reads=[failed])
        return yes, no, ""


def constant(test: ast.expr) -> bool | None:
    """Return the truth of a condition that is constant, else None."""
    if isinstance(test, ast.Constant):
        return bool(test.value)
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        inner = constant(test.operand)
        return None if inner is None else not inner
    if isinstance(test, ast.Name) and test.id == "TYPE_CHECKING":
        return False
    if isinstance(test, ast.BoolOp):
        parts = [constant(value) for value in test.values]
        if isinstance(test.op, ast.And) and False in parts:
            return False
        if isinstance(test.op, ast.Or) and True in parts:
            return True
    return None


def _least(items: ast.expr) -> int | None:
    """Return how many rounds there are at least: 0 for certainly none, None
    where it is open."""
    if isinstance(items, ast.List | ast.Tuple | ast.Set):
        if any(isinstance(one, ast.Starred) for one in items.elts):
            return None
        return len(items.elts)
    if (
        isinstance(items, ast.Call)
        and isinstance(items.func, ast.Name)
        and items.func.id == "range"
        and all(isinstance(one, ast.Constant) and isinstance(one.value, int) for one in items.args)
    ):
        return len(range(*(one.value for one in items.args if isinstance(one, ast.Constant))))  # type: ignore[arg-type]
    return None


def _breaks(one: ast.AST) -> bool:
    """Return whether a statement leaves the loop it stands in."""
    if isinstance(one, ast.Break):
        return True
    if isinstance(one, ast.For | ast.AsyncFor | ast.While):
        return any(_breaks(inner) for inner in one.orelse)
    if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
        return False
    return any(_breaks(inner) for inner in ast.iter_child_nodes(one))


def _may_raise(one: ast.stmt) -> bool:
    """Return whether plain code may raise: it calls or looks into something."""
    return any(
        isinstance(node, ast.Call | ast.Subscript | ast.Attribute | ast.BinOp | ast.Compare)
        for node in ast.walk(one)
    ) or isinstance(one, ast.Assert)


def _catches_all(kind: ast.expr | None) -> bool:
    if kind is None:
        return True
    if isinstance(kind, ast.Tuple):
        return any(_catches_all(one) for one in kind.elts)
    name = kind.attr if isinstance(kind, ast.Attribute) else getattr(kind, "id", "")
    return name == "BaseException"
