"""Python workflows as nets, by their syntax alone: nothing of the file is run.

Every way through the code that the syntax allows is a way through the net, so
what can never happen there never happens. Conditions are free choices, apart
from constants and from conditions that are asked twice of the same values.
What cannot be followed is taken to be able to do anything, and named.
"""

from __future__ import annotations

import ast

import msgspec

from agentsquad.runtime.control.net.contract import Finding, NetFileError
from agentsquad.runtime.control.net.flow import Flow
from agentsquad.runtime.control.net.module import Module, Modules, Reader
from agentsquad.runtime.control.net.petri import Net
from agentsquad.runtime.control.net.statement import Statements


def python_flows(text: str, file: str, read: Reader = lambda path: None) -> list[Flow]:
    """Return the workflows of a Python file as nets, or raise NetFileError.

    `read` gives the text of a file it imports from, None if it is not there.
    """
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None) or 1
        raise NetFileError(
            f"not valid Python: {getattr(error, 'msg', error)}",
            file=file,
            line=line,
            hint="correct the line",
        ) from None
    modules = Modules(Module.of(tree, file), read)
    found = [
        (name, node)
        for node in ast.walk(tree)
        if isinstance(node, ast.AsyncFunctionDef) and (name := _workflow_name(node)) is not None
    ]
    if not found:
        raise NetFileError(
            "there is no workflow in it",
            file=file,
            line=1,
            hint="mark a coroutine with @workflow(…)",
        )
    flows = [_flow(name, node, modules) for name, node in found]
    return _recursive(flows)


def _workflow_name(node: ast.AsyncFunctionDef) -> str | None:
    """Return the name a decorator gives a workflow, or None."""
    for one in node.decorator_list:
        if not isinstance(one, ast.Call):
            continue
        called = one.func
        name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
        if name != "workflow":
            continue
        given = [*one.args[:1], *(word.value for word in one.keywords if word.arg == "name")]
        for value in given:
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                return value.value
        return node.name
    return None


def _flow(name: str, node: ast.AsyncFunctionDef, modules: Modules) -> Flow:
    compiler = Statements(name, modules)
    build = compiler.build
    start, done, failed = (
        build.place("start", 1),
        build.place("completed"),
        build.place("failed"),
    )
    compiler.whole(node, start, done, failed)
    build.move("completed stays", [], [], reads=[done, *build.answered])
    build.move("failed stays", [], [], reads=[failed, *build.answered])
    return build.flow()


def _recursive(flows: list[Flow]) -> list[Flow]:
    """Find workflows that cannot complete without running themselves.

    In such a circle nothing that waits for a child of the circle ever hears
    back; where completing needs no such child, it may.
    """
    calls = {flow.net.id: {child for child, _ in flow.children} for flow in flows}
    found = []
    for flow in flows:
        circle = _circle(flow.net.id, calls)
        if not circle:
            found.append(flow)
            continue
        gone = {answer for child, answer in flow.children if flow.net.id in _within(child, calls)}
        net = flow.net
        silent = Net(
            net.id,
            net.name,
            net.places,
            tuple(
                msgspec.structs.replace(one, takes={**one.takes, _never(net): 1})
                if number in gone
                else one
                for number, one in enumerate(net.transitions)
            ),
        )
        if _completes(silent):
            found.append(flow)
            continue
        way = " runs ".join(map(repr, circle))
        finding = Finding(
            code="recursion",
            message=f"{way}: none of them can complete without the next",
            file=flow.file,
            hint="let one of them complete without running the next",
        )
        found.append(msgspec.structs.replace(flow, net=silent, findings=(*flow.findings, finding)))
    return found


def _never(net: Net) -> int:
    """Return the place of a flow that nothing ever marks."""
    return next(at for at, place in enumerate(net.places) if place.id == "never")


def _within(name: str, calls: dict[str, set[str]]) -> set[str]:
    """Return the workflows that one runs, directly or not, itself first."""
    found, waiting = {name}, [name]
    while waiting:
        for child in calls.get(waiting.pop(), ()):
            if child not in found:
                found.add(child)
                waiting.append(child)
    return found


def _circle(name: str, calls: dict[str, set[str]]) -> list[str]:
    """Return a way from a workflow back to itself, or nothing."""
    before: dict[str, str] = {}
    waiting = [name]
    while waiting:
        one = waiting.pop(0)
        for child in sorted(calls.get(one, ())):
            if child == name:
                way = [name, one] if one != name else [name]
                while before.get(one, name) != name:
                    one = before[one]
                    way.append(one)
                return [way[0], *reversed(way[1:]), name]
            if child not in before and child in calls:
                before[child] = one
                waiting.append(child)
    return []


def _completes(net: Net) -> bool:
    """Return whether the end of a flow may be reached, as far as tokens go."""
    from agentsquad.runtime.control.net.reduce import never

    unreached = never(net)
    done = next(at for at, place in enumerate(net.places) if place.id == "completed")
    return any(done in one.puts and n not in unreached for n, one in enumerate(net.transitions))
