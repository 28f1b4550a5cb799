"""What workflow code awaits, as parts of a net.

Knows the methods of a workflow's context, latches, sagas, coroutines that are
made now and awaited later, and functions of the same file. Anything else that
is awaited may do anything: it is named as not understood.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from agentsquad.runtime.control.net.flow import STEP, Builder, Waits, Word
from agentsquad.runtime.control.net.frame import Frame, Latch, Later, Local, Routes
from agentsquad.runtime.control.net.module import Function, Modules

STEPS = {
    "call": "calls {name}",
    "agent": "gives {name} a turn",
    "decide": "asks policy about {name}",
    "query": "asks rule {name}",
    "approve": "asks a person to approve {name}",
    "run": "runs workflow {name}",
    "sleep": "sleeps",
    "signal": "waits for signal {name}",
}
INLINE = ("eager", "lazy", "shield")
STREAMS = ("stream", "pipeline", "map", "loop")
HARMLESS = ("deadline", "now_ms", "random", "on_query", "patched", "peek_position")
DEPTH_MAX = 12


class Awaits:
    """Compiles expressions in the order they are evaluated."""

    block: Callable[[Sequence[ast.stmt], int | None, Frame], int | None]
    joined: Callable[[Sequence[int | None], str], int | None]

    def __init__(self, name: str, modules: Modules) -> None:
        self.build = Builder(name, modules.main.file)
        self.modules = modules
        self.answers: dict[tuple[int, str], tuple[int, int, int]] = {}
        self.never = self.build.place("never")

    def unknown(self, what: str) -> None:
        """Name something that was not understood."""
        self.build.unknown.append(what)

    # --- expressions

    def expression(self, node: ast.AST, at: int, frame: Frame) -> int:
        """Compile what is awaited inside an expression; return where it
        leads."""
        if isinstance(node, ast.Await):
            return self.awaited(node.value, at, frame)
        if isinstance(node, ast.Lambda | ast.FunctionDef | ast.AsyncFunctionDef):
            return at
        if isinstance(node, ast.IfExp):
            asked = self.expression(node.test, at, frame)
            return self.either([node.body, node.orelse], asked, frame)
        if isinstance(node, ast.BoolOp) and _awaits(node):
            after = self.expression(node.values[0], at, frame)
            for value in node.values[1:]:
                after = self.either([value, None], after, frame)
            return after
        if isinstance(node, ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp):
            return self.comprehension(node, at, frame) if _awaits(node) else at
        if isinstance(node, ast.Call):
            at = self.called(node, at, frame)
        for inner in ast.iter_child_nodes(node):
            at = self.expression(inner, at, frame)
        return at

    def either(self, nodes: Sequence[ast.AST | None], at: int, frame: Frame) -> int:
        """Compile expressions of which one is evaluated, None for nothing."""
        if not any(node is not None and _awaits(node) for node in nodes):
            return at
        after = self.build.place("one of them")
        for node in nodes:
            begin = self.build.place("this one")
            self.build.move("choose", [at], [begin])
            end = begin if node is None else self.expression(node, begin, frame)
            self.build.move("chosen", [end], [after])
        return after

    def comprehension(self, node: Any, at: int, frame: Frame) -> int:
        """Compile a comprehension: any number of rounds."""
        for one in node.generators:
            at = self.expression(one.iter, at, frame)
        parts = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]

        def body(begin: int) -> int:
            for part in (*parts, *(test for one in node.generators for test in one.ifs)):
                begin = self.expression(part, begin, frame)
            return begin

        return self.rounds(at, body)

    def rounds(self, at: int, body: Callable[[int], int | None]) -> int:
        """Compile something that is done any number of times."""
        build = self.build
        turn, after = build.place("round"), build.place("after rounds")
        build.move("first round", [at], [turn])
        build.move("no round", [at], [after])
        end = body(turn)
        if end is not None:
            build.move("next round", [end], [turn])
            build.move("last round", [end], [after])
        return after

    def called(self, node: ast.Call, at: int, frame: Frame) -> int:
        """Compile a call that is not awaited: it may open a latch, or give
        something we follow to code we do not know."""
        owner, method = self.method(node, frame)
        if isinstance(owner, Latch) and method == "open":
            return self.opens(owner, at)
        if owner == "ctx" and method == "on_update":
            for arg in node.args[1:]:
                self.beside(arg, frame)
            return at
        for arg in [*node.args, *(word.value for word in node.keywords)]:
            value = frame.look(arg.id) if isinstance(arg, ast.Name) else None
            if isinstance(value, Latch) and not self.local(node, frame):
                self.unknown(f"who opens latch {value.name!r} (line {node.lineno})")
        return at

    # --- names

    def method(self, node: ast.expr, frame: Frame) -> tuple[Any, str]:
        """Return what a called method belongs to, as far as it is known."""
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            return None, ""
        owner = node.func.value
        value = frame.look(owner.id) if isinstance(owner, ast.Name) else None
        return value, node.func.attr

    def local(self, node: ast.expr, frame: Frame) -> Local | None:
        """Return the function of this file that is called, or None."""
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            return None
        return self.function(node.func, frame)

    def function(self, node: ast.expr, frame: Frame) -> Local | None:
        """Return the function an expression stands for, or None."""
        if isinstance(node, ast.Lambda):
            return Local(node, frame, frame.module)
        if not isinstance(node, ast.Name):
            return None
        value = frame.look(node.id)
        if isinstance(value, Local):
            return value
        if value is not None:
            return None
        found = self.modules.function(frame.module, node.id)
        return None if found is None else Local(found[0], None, found[1])

    def bound(self, name: str, value: ast.expr, at: int, frame: Frame) -> int | None:
        """Compile an assignment of something that is followed by name; None
        if it is not such a one."""
        owner, method = self.method(value, frame)
        if owner == "ctx" and method == "latch":
            frame.bind(name, self.latch(name))
            return at
        if owner == "ctx" and method == "saga":
            frame.bind(name, "saga")
            return at
        if isinstance(value, ast.Name) and frame.look(value.id) is not None:
            frame.bind(name, frame.look(value.id))
            return at
        if isinstance(value, ast.Lambda):
            frame.bind(name, Local(value, frame, frame.module))
            return at
        if isinstance(value, ast.Call) and self.is_coroutine(value, frame):
            for arg in value.args:
                at = self.expression(arg, at, frame)
            frame.bind(name, Later(value, frame))
            return at
        if isinstance(value, ast.ListComp | ast.List) and self.coroutines(value, frame):
            frame.bind(name, Later(value, frame))
            return at
        return None

    def is_coroutine(self, node: ast.Call, frame: Frame) -> bool:
        """Return whether a call makes a coroutine."""
        owner, method = self.method(node, frame)
        if owner in ("ctx", "saga"):
            return method in (*STEPS, *INLINE, *STREAMS, "parallel", "race")
        found = self.local(node, frame)
        return found is not None and isinstance(found.node, ast.AsyncFunctionDef)

    def coroutines(self, node: ast.ListComp | ast.List, frame: Frame) -> bool:
        """Return whether a list holds coroutines."""
        parts = [node.elt] if isinstance(node, ast.ListComp) else node.elts
        return bool(parts) and all(
            isinstance(one, ast.Call) and self.is_coroutine(one, frame) for one in parts
        )

    # --- awaits

    def awaited(self, node: ast.expr, at: int, frame: Frame) -> int:
        """Compile what is awaited; return where the code goes on."""
        if isinstance(node, ast.Name):
            value = frame.look(node.id)
            if isinstance(value, Latch):
                return self.waits(value, at, node.lineno)
            if isinstance(value, Later):
                return self.awaited(value.call, at, frame)
            return self.anything(node, at, frame)
        if not isinstance(node, ast.Call):
            return self.anything(node, at, frame)
        owner, method = self.method(node, frame)
        if owner == "ctx" and method in ("parallel", "race"):
            return self.branches(node, at, frame, race=method == "race")
        if owner == "ctx" and method in INLINE and node.args:
            return self.awaited(node.args[0], at, frame)
        if owner == "ctx" and method in STREAMS:
            return self.streams(node, at, frame)
        for arg in [*node.args, *(word.value for word in node.keywords)]:
            at = self.expression(arg, at, frame)
        if owner == "ctx" and method in STEPS:
            return self.step(node, method, at, frame)
        if owner == "saga" and method == "call":
            return self.step(node, "call", at, frame)
        if owner == "ctx" and method.startswith("continue"):
            self.build.move(f"continued at {node.lineno}", [at], [frame.routes.done])
            return self.build.place(f"after continuing at {node.lineno}")
        found = self.local(node, frame)
        if found is not None:
            after = self.inline(found, node, at, frame)
            return self.build.place("after it") if after is None else after
        return self.anything(node, at, frame)

    def anything(self, node: ast.expr, at: int, frame: Frame) -> int:
        """Compile something not understood: it comes back, or fails."""
        text = ast.unparse(node)
        text = text if len(text) <= 60 else f"{text[:57]}…"
        self.unknown(f"'await {text}' (line {node.lineno})")
        return self._asked(f"await {text}", at, frame, None, None)

    def step(self, node: ast.Call, method: str, at: int, frame: Frame) -> int:
        """Compile a step of the run: it is done, or fails."""
        given = node.args[0] if node.args else None
        name = _text(given) if given is not None and method != "sleep" else method
        text = STEPS[method].format(name=repr(name))
        waits = None
        if method in ("signal", "run"):
            what = text if method == "signal" else f"waits for workflow {name!r}"
            waits = Waits(text=what, line=node.lineno, file=frame.module.file)
        if method == "signal":
            self.build.notes.append(f"line {node.lineno} {text} from outside")
        word = Word(
            step=name,
            text=text,
            line=node.lineno,
            kind=STEP,
            because=frame.because[-1] if frame.because else "",
            file=frame.module.file,
            id=f"{name}:{node.lineno}",
        )
        after = self._asked(name, at, frame, word, waits)
        if method == "run" and isinstance(given, ast.Constant):
            for number in (len(self.build.transitions) - 2, len(self.build.transitions) - 1):
                self.build.children.append((name, number))
        return after

    def _asked(
        self, name: str, at: int, frame: Frame, word: Word | None, waits: Waits | None
    ) -> int:
        build = self.build
        asked, after = build.place(f"{name} asked", waits=waits), build.place(f"{name} done")
        build.move(name, [at], [asked], word=word)
        build.move(f"{name} answers", [asked], [after])
        aside = f"{name!r} fails" if word is not None else ""
        build.move(f"{name} fails", [asked], [frame.routes.error], aside=aside)
        return after

    # --- latches

    def latch(self, name: str) -> Latch:
        """Add a latch; one that is made again begins closed, which is left
        out: it is then not known when it is open."""
        build = self.build
        return Latch(name, build.place(f"{name} closed", 1), build.place(f"{name} open"))

    def opens(self, latch: Latch, at: int) -> int:
        """Open a latch; opening it again changes nothing."""
        build = self.build
        after = build.place(f"after opening {latch.name}")
        build.move(f"open {latch.name}", [at, latch.closed], [after, latch.opened])
        build.move(f"open {latch.name} again", [at], [after], reads=[latch.opened])
        return after

    def waits(self, latch: Latch, at: int, line: int) -> int:
        """Wait at a latch."""
        build = self.build
        text = f"a branch waits at latch {latch.name!r}, which nothing opens then"
        waiting = build.place(f"at latch {latch.name}", waits=Waits(text=text, line=line))
        after = build.place(f"past latch {latch.name}")
        build.move(f"come to latch {latch.name}", [at], [waiting])
        build.move(f"pass latch {latch.name}", [waiting], [after], reads=[latch.opened])
        return after

    # --- branches

    def branches(self, node: ast.Call, at: int, frame: Frame, *, race: bool) -> int:
        """Compile branches side by side; of those that race one counts."""
        parts: list[ast.expr] = []
        several: list[ast.expr] = []
        for arg in node.args:
            if isinstance(arg, ast.Starred):
                several.append(arg.value)
            else:
                parts.append(arg)
        if race:
            return self._one_of([*parts, *several], at, frame)
        build, line = self.build, node.lineno
        begun = [build.place(f"branch at {part.lineno}") for part in (*parts, *several)]
        build.move(f"fork at {line}", [at], begun)
        good = [build.place(f"branch done at {part.lineno}") for part in (*parts, *several)]
        bad = [build.place(f"branch failed at {part.lineno}") for part in (*parts, *several)]
        for part, begin, done, failed in zip((*parts, *several), begun, good, bad, strict=True):
            outer = frame.routes
            frame.routes = Routes(done, failed)
            end = self.many(part, begin, frame) if part in several else None
            if part not in several:
                end = self.awaited(part, begin, frame)
            frame.routes = outer
            if end is not None:
                build.move(f"branch ends at {part.lineno}", [end], [done])
        return self._joined(line, list(zip(good, bad, strict=True)), at, frame)

    def _joined(self, line: int, ends: list[tuple[int, int]], at: int, frame: Frame) -> int:
        """Go on when all branches have ended, with an error if one failed."""
        build = self.build
        if not ends:
            return at
        well, ill = build.place(f"join at {line}"), -1
        ended = [build.place(f"counted at {line}") for _ in ends]
        marks = [(build.place("went well"), build.place("went ill")) for _ in ends]
        for (good, bad), count, (fine, poor) in zip(ends, ended, marks, strict=True):
            build.move(f"ended at {line}", [good], [count, fine])
            build.move(f"failed at {line}", [bad], [count, poor])
        build.move(f"all ended at {line}", ended, [well])
        for fine, poor in marks:
            after_well, after_ill = build.place("well so far"), build.place("ill so far")
            build.move("well", [well, fine], [after_well])
            build.move("ill", [well, poor], [after_ill])
            if ill >= 0:
                build.move("still ill", [ill, fine], [after_ill])
                build.move("ill again", [ill, poor], [after_ill])
            well, ill = after_well, after_ill
        build.move(f"error of a branch at {line}", [ill], [frame.routes.error])
        return well

    def _one_of(self, parts: Sequence[ast.expr], at: int, frame: Frame) -> int:
        after = self.build.place("after race")
        for part in parts:
            begin = self.build.place(f"racing at {part.lineno}")
            self.build.move(f"race at {part.lineno}", [at], [begin])
            end = self.many(part, begin, frame)
            if end is not None:
                self.build.move(f"won at {part.lineno}", [end], [after])
        return after

    def many(self, node: ast.expr, at: int, frame: Frame) -> int | None:
        """Compile a list of coroutines: each any number of times, or a single
        one."""
        value = frame.look(node.id) if isinstance(node, ast.Name) else None
        if isinstance(value, Later):
            node = value.call
        if isinstance(node, ast.ListComp | ast.GeneratorExp):
            elt = node.elt
            return self.rounds(at, lambda begin: self.awaited(elt, begin, frame))
        if isinstance(node, ast.List | ast.Tuple):
            for one in node.elts:
                at = self.awaited(one, at, frame)
            return at
        return self.awaited(node, at, frame)

    def streams(self, node: ast.Call, at: int, frame: Frame) -> int:
        """Compile a function that is done for each of many items."""
        for arg in node.args:
            at = self.expression(arg, at, frame)
        after = self.rounds(at, lambda begin: self.staged(node, begin, frame))
        self.build.move(f"source fails at {node.lineno}", [at], [frame.routes.error])
        return after

    def staged(self, node: ast.Call, at: int, frame: Frame) -> int | None:
        """Compile what is done for one item of a map, stream or pipeline."""
        method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        stages = node.args[1:] if method == "pipeline" else node.args[:1]
        place: int | None = at
        for stage in stages:
            found = self.function(stage, frame)
            if place is None:
                break
            if found is None:
                self.unknown(f"{ast.unparse(stage)} (line {stage.lineno})")
                place = self._asked(f"{method} at {node.lineno}", place, frame, None, None)
            else:
                place = self.inline(found, None, place, frame)
        return place

    def streamed(self, node: ast.expr, at: int, frame: Frame) -> int | None:
        """Compile what one round of `async for` waits for."""
        owner, method = self.method(node, frame)
        if owner == "ctx" and isinstance(node, ast.Call):
            if method in ("stream", "pipeline"):
                return self.staged(node, at, frame)
            if method == "signals":
                return self.step(node, "signal", at, frame)
        self.unknown(f"'async for' over {ast.unparse(node)} (line {node.lineno})")
        return at

    def is_scope(self, node: ast.expr, frame: Frame) -> bool:
        """Return whether something is a part of the run that can be
        cancelled, or a stream that is closed at the end."""
        owner, method = self.method(node, frame)
        return owner == "ctx" and method in ("scope", "stream", "pipeline")

    # --- functions

    def handler(self, decorator: ast.expr, node: Function, frame: Frame) -> None:
        """Compile a function that is marked to answer from outside."""
        owner, method = self.method(decorator, frame)
        if owner == "ctx" and method == "on_update":
            self.beside(ast.Name(id=node.name, ctx=ast.Load(), lineno=node.lineno), frame)

    def beside(self, node: ast.expr, frame: Frame) -> None:
        """Compile a function that others may have done at any time.

        It is done once: what could always be done again would hide that
        everything else is stuck. Where it changes more than itself, being done
        again may matter, and that is noted.
        """
        found = self.function(node, frame)
        if found is None:
            return
        build = self.build
        places, moves = len(build.places), len(build.transitions)
        asked, over = build.place("asked for an update", 1), build.place("update answered")
        outer = frame.routes
        frame.routes = Routes(over, over)
        end = self.inline(found, None, asked, frame)
        frame.routes = outer
        if end is not None:
            build.move("answer update", [end], [over])
        build.answered.append(over)
        if any(
            place < places and one.takes.get(place, 0) != one.puts.get(place, 0)
            for one in build.transitions[moves:]
            for place in (*one.takes, *one.puts)
        ):
            name = getattr(found.node, "name", "a function")
            build.again.append(f"{name!r} (line {found.node.lineno})")

    def inline(self, found: Local, call: ast.Call | None, at: int, frame: Frame) -> int | None:
        """Compile a function where it is called; errors go to the caller."""
        build = self.build
        if frame.depth >= DEPTH_MAX:
            name = getattr(found.node, "name", "a function")
            self.unknown(f"{name!r}, which calls itself")
            return self._asked(f"{name} again", at, frame, None, None)
        done = build.place(f"after {getattr(found.node, 'name', 'a function')}")
        routes = Routes(done, frame.routes.error)
        inner = Frame(found.node, routes, found.module, found.frame)
        inner.because = list(frame.because)
        inner.depth = frame.depth + 1
        self._arguments(found, call, inner, frame)
        if isinstance(found.node, ast.Lambda):
            body = found.node.body
            if isinstance(body, ast.Call) and self.is_coroutine(body, inner):
                return self.awaited(body, at, inner)
            return self.expression(body, at, inner)
        end = self.block(found.node.body, at, inner)
        if end is not None:
            build.move("return", [end], [done])
        return done

    def _arguments(self, found: Local, call: ast.Call | None, inner: Frame, frame: Frame) -> None:
        params = [arg.arg for arg in (*found.node.args.posonlyargs, *found.node.args.args)]
        given: Iterable[tuple[str, ast.expr]] = ()
        if call is not None:
            given = [
                *zip(params, call.args, strict=False),
                *((word.arg, word.value) for word in call.keywords if word.arg),
            ]
        for name in params:
            inner.bind(name, None)
        for name, value in given:
            if isinstance(value, ast.Name):
                inner.bind(name, frame.look(value.id))
            elif isinstance(value, ast.Lambda):
                inner.bind(name, Local(value, frame, frame.module))
            elif isinstance(value, ast.Call) and self.is_coroutine(value, frame):
                inner.bind(name, Later(value, frame))


def _awaits(node: ast.AST) -> bool:
    """Return whether an expression awaits something or may open a latch."""
    return any(
        isinstance(one, ast.Await)
        or (isinstance(one, ast.Attribute) and one.attr in ("open", "on_update"))
        for one in ast.walk(node)
    )


def _text(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    text = ast.unparse(node)
    return text if len(text) <= 60 else f"{text[:57]}…"
