"""An AgentWorkflow as a net: the steps of its graph and what each waits for.

Follows the interpreter: siblings start together, a node waits for all it
depends on and is given up when one of them failed; a list fails when one of its
nodes did, and then what was done is undone in reverse. Conditions are free
choices unless their text has a value without any input.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from agentsquad.runtime.control.contract import ExpressionError
from agentsquad.runtime.control.expression import condition
from agentsquad.runtime.control.graph import cycle
from agentsquad.runtime.control.net.flow import CHOICE, UNDO, Builder, Flow, Waits, Word

Node = Mapping[str, Any]
Constant = Callable[[str], Any]
_NAMES = re.compile(r"\b(input|nodes|item|index|last|error|update)\b")
_TEXTS = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'")


def may_wait(nodes: Sequence[Node]) -> bool:
    """Return whether nodes, or some within them, wait in a circle or for what
    is not there."""
    ids = {node["id"] for node in nodes}
    return (
        cycle(nodes) is not None
        or any(not ids.issuperset(node.get("dependsOn", ())) for node in nodes)
        or any(may_wait(inner) for node in nodes for inner in _inside(node))
    )


def _inside(node: Node) -> Iterator[Sequence[Node]]:
    """Yield the lists of nodes in a node; stages wait for nothing beside
    them."""
    for part in (node, node.get("catch", {}), *node.get("branch", ()), *node.get("race", ())):
        if "nodes" in part:
            yield part["nodes"]
    for stage in node.get("pipeline", {}).get("stages", ()):
        yield [{**stage, "dependsOn": []}]


class Unknown:
    """Not a value: an expression that depends on the run."""


UNKNOWN = Unknown()


def constant_by(evaluate: Callable[[str, Mapping[str, Any]], Any]) -> Constant:
    """Return what gives the value of an expression that needs no input, else
    UNKNOWN."""

    def constant(text: str) -> Any:
        try:
            inner = condition(text).text
            if _NAMES.search(_TEXTS.sub("", inner)):
                return UNKNOWN
            return evaluate(inner, {})
        except ExpressionError:
            return UNKNOWN

    return constant


def manifest_flow(
    name: str,
    spec: Mapping[str, Any],
    constant: Constant,
    file: str = "",
    line_of: Callable[[str], int] = lambda pointer: 0,
) -> Flow:
    """Return the net of a workflow; `line_of` gives the line of a pointer into
    its spec."""
    return _Compiler(name, spec, constant, file, line_of).flow()


class _Ends:
    """Where a part goes on: done or failed."""

    def __init__(self, done: int, failed: int) -> None:
        self.done = done
        self.failed = failed


class _Compiler:
    """One manifest being compiled."""

    def __init__(
        self,
        name: str,
        spec: Mapping[str, Any],
        constant: Constant,
        file: str,
        line_of: Callable[[str], int],
    ) -> None:
        self.spec = spec
        self.constant = constant
        self.line_of = line_of
        self.build = Builder(name, file)
        self.because = ""  # why nothing of what is compiled now can happen
        # Compensated nodes in order: (node, word, undoable, not undoable)
        self.undos: list[tuple[str, Word, int, int]] = []

    def flow(self) -> Flow:
        build = self.build
        start = build.place("start", 1)
        ends = _Ends(build.place("graph done"), build.place("graph failed"))
        if "timeout" in self.spec:
            limit = f"a run is ended after {self.spec['timeout']}, undone and failed"
            build.notes.append(f"{limit}; what is said here is about the time before")
        self.siblings(self.spec["graph"]["nodes"], "/graph/nodes", start, ends)
        finished, given_up = build.place("completed"), build.place("failed")
        answered = self.updates()
        build.move("complete", [ends.done, *answered], [finished])
        if not self.spec.keys().isdisjoint(("result", "output", "continueAsNew")):
            build.move("result refused", [ends.done], [ends.failed])
        at = ends.failed
        if answered:
            at = build.place("every update answered")
            build.move("answer updates", [ends.failed, *answered], [at])
        for node, word, undoable, untouched in reversed(self.undos):
            after = build.place(f"after undoing {node}")
            build.move(f"undo {node}", [at, undoable], [after], word=word)
            build.move(f"nothing to undo of {node}", [at, untouched], [after])
            at = after
        build.move("give up", [at], [given_up])
        # The end of a run is no deadlock: it may stand there for ever.
        build.move("completed stays", [], [], reads=[finished])
        build.move("failed stays", [], [], reads=[given_up])
        return build.flow()

    def siblings(self, nodes: Sequence[Node], at: str, start: int, ends: _Ends) -> None:
        """Add a list of nodes that start together and end together."""
        build = self.build
        ids = [node["id"] for node in nodes]
        opened: dict[str, int] = {}
        lines = {node["id"]: self.line_of(f"{at}/{i}") for i, node in enumerate(nodes)}
        for node in nodes:
            opened[node["id"]] = build.place(f"{node['id']} is next")
        done = {name: build.place(f"{name} done") for name in ids}
        bad = {name: build.place(f"{name} failed") for name in ids}
        count = build.place(f"{at} ended")
        build.move(f"begin {at}", [start], [opened[name] for name in ids])
        for index, node in enumerate(nodes):
            name = node["id"]
            own = _Ends(build.place(f"{name} is done"), build.place(f"{name} has failed"))
            build.move(f"{name} ends", [own.done], [done[name], count])
            build.move(f"{name} ends badly", [own.failed], [bad[name], count])
            running = self.waiting(node, lines[name], opened[name], (done, bad), own.failed)
            self.node(node, f"{at}/{index}", running, own)
        self.collect(at, ids, count, (done, bad), ends)

    def waiting(
        self,
        node: Node,
        line: int,
        opened: int,
        latches: tuple[dict[str, int], dict[str, int]],
        failed: int,
    ) -> int:
        """Let a node wait for all it depends on, one by one as the interpreter
        does, and fail if one of them did; return where it runs."""
        build, name = self.build, node["id"]
        done, bad = latches
        good, worse = opened, -1
        for need in node.get("dependsOn", ()):
            text = f"step {name!r} waits for {need!r}"
            build.waits[good] = Waits(text=text, line=line)
            if need not in done:
                build.waits[good] = Waits(text=f"{text}, which is not beside it", line=line)
                return build.place(f"{name} never runs")
            after_good = build.place(f"{name} has {need}")
            after_bad = build.place(f"{name} lacks {need}", waits=Waits(text=text, line=line))
            build.move(f"{name} sees {need}", [good], [after_good], reads=[done[need]])
            build.move(f"{name} misses {need}", [good], [after_bad], reads=[bad[need]])
            if worse >= 0:
                build.move(f"{name} still sees {need}", [worse], [after_bad], reads=[done[need]])
                build.move(f"{name} also misses {need}", [worse], [after_bad], reads=[bad[need]])
            good, worse = after_good, after_bad
        if worse >= 0:
            build.waits.pop(worse, None)
            build.move(f"{name} is given up", [worse], [failed])
        return good

    def collect(
        self,
        at: str,
        ids: Sequence[str],
        count: int,
        latches: tuple[dict[str, int], dict[str, int]],
        ends: _Ends,
    ) -> None:
        """End a list when all its nodes have ended."""
        build = self.build
        good = build.place(f"{at} counted")
        build.move(f"join {at}", [count] * len(ids), [good])
        worse = -1
        for place, name in enumerate(ids):
            last = place == len(ids) - 1
            after_good = ends.done if last else build.place(f"{at} good to {name}")
            after_bad = ends.failed if last else build.place(f"{at} bad to {name}")
            done, bad = latches[0][name], latches[1][name]
            build.move(f"{name} counted", [good, done], [after_good])
            build.move(f"{name} counted bad", [good, bad], [after_bad])
            if worse >= 0:
                build.move(f"{name} counted late", [worse, done], [after_bad])
                build.move(f"{name} counted worse", [worse, bad], [after_bad])
            good, worse = after_good, after_bad

    def holds(self, text: str | None) -> bool | None:
        """Return whether a condition always or never holds, else None."""
        value = True if text is None else self.constant(text)
        return value if isinstance(value, bool) else None

    def node(self, node: Node, at: str, running: int, ends: _Ends) -> None:
        """Add one node between where it runs and where it ends."""
        build, name = self.build, node["id"]
        line = self.line_of(at)
        begin, because = running, self.because
        holds = self.holds(node.get("when"))
        if "when" in node:
            begin = build.place(f"{name} chosen")
            if holds is False:
                because = f"its condition {node['when']!r} never holds"
            else:
                build.move(f"{name} holds", [running], [begin])
            if holds is not True:
                build.move(f"{name} is skipped", [running], [ends.done])
            if holds is None:
                build.move(f"{name} condition fails", [running], [ends.failed])
        if "catch" in node:
            ends = self.caught(node, at, ends)
        if "foreach" in node or "loop" in node:
            self.repeated(node, at, (begin, line, because), ends)
            return
        self.body(node, at, (begin, line, because), ends)

    def repeated(self, node: Node, at: str, start: tuple[int, int, str], ends: _Ends) -> None:
        """Add a node that is done for each element or while a condition
        holds."""
        build, name = self.build, node["id"]
        begin, line, because = start
        rounds = _Ends(build.place(f"{name} round done"), ends.failed)
        turn = build.place(f"{name} round")
        if "foreach" in node:
            why = self.each(name, node["foreach"], (begin, turn, rounds.done), ends)
            because = because or why
        else:
            holds = self.holds(node["loop"]["while"])
            build.move(f"{name} looks", [rounds.done], [begin])
            if holds is False:
                because = f"its condition {node['loop']['while']!r} never holds"
            else:
                build.move(f"{name} again", [begin], [turn])
                build.move(f"{name} too often", [begin], [ends.failed])
            if holds is not True:
                build.move(f"{name} leaves", [begin], [ends.done])
        self.body(node, at, (turn, line, because), rounds)

    def each(self, name: str, over: str, rounds: tuple[int, int, int], ends: _Ends) -> str:
        """Add rounds over a list; return why there are none, if so."""
        build = self.build
        begin, turn, done = rounds
        items = self.constant(over)
        if items != []:
            build.move(f"{name} first", [begin], [turn])
            build.move(f"{name} next", [done], [turn])
            build.move(f"{name} last", [done], [ends.done])
        if not isinstance(items, list) or not items:
            build.move(f"{name} none", [begin], [ends.done])
        if items is UNKNOWN:
            build.move(f"{name} no list", [begin], [ends.failed])
        return f"its list {over!r} is always empty" if items == [] else ""

    def body(self, node: Node, at: str, begin: tuple[int, int, str], ends: _Ends) -> None:
        """Add what a node does, and how it is undone."""
        build, name = self.build, node["id"]
        start, line, because = begin
        inner = _Ends(ends.done, ends.failed)
        if "compensate" in node:
            inner.done = build.place(f"{name} succeeded")
            self.remembered(node, at, inner.done, ends.done)
        if "nodes" in node:
            entered = build.place(f"{name} entered")
            word = Word(step=name, text=f"group {name!r} begins", line=line, because=because)
            build.move(f"enter {name}", [start], [entered], word=word)
            self.siblings(node["nodes"], f"{at}/nodes", entered, inner)
        elif "branch" in node:
            self.branch(node, at, (start, line, because), inner)
        elif "race" in node:
            self.race(node, at, (start, line, because), inner)
        elif "pipeline" in node:
            self.pipeline(node, at, (start, line, because), inner)
        else:
            self.once(node, (start, line, because), inner)

    def once(self, node: Node, begin: tuple[int, int, str], ends: _Ends) -> None:
        """Add a call or a wait: it is done, or fails, or is tried again."""
        build, name = self.build, node["id"]
        start, line, because = begin
        text = f"step {name!r} runs"
        waits = None
        if "signal" in node:
            text = f"step {name!r} waits for signal {node['signal']!r}"
            build.notes.append(f"{name!r} waits for signal {node['signal']!r} from outside")
            waits = Waits(text=text, line=line)
        elif "approval" in node:
            text = f"step {name!r} asks a person"
        asked = build.place(f"{name} asked", waits=waits)
        word = Word(step=name, text=text, line=line, because=because)
        build.move(name, [start], [asked], word=word)
        if "fail" not in node:
            build.move(f"{name} answered", [asked], [ends.done])
        build.move(f"{name} fails", [asked], [ends.failed], aside=f"step {name!r} fails")
        if node.get("retryPolicy") or self.spec.get("retryPolicy"):
            build.move(f"{name} is tried again", [asked], [start])

    def caught(self, node: Node, at: str, ends: _Ends) -> _Ends:
        """Add what is done instead when a node failed; return its new ends."""
        build, name = self.build, node["id"]
        failed, instead = build.place(f"{name} caught"), build.place(f"{name} instead")
        build.move(f"{name} is caught", [failed], [instead])
        if "codes" in node["catch"]:
            build.move(f"{name} is not caught", [failed], [ends.failed])
        self.siblings(node["catch"]["nodes"], f"{at}/catch/nodes", instead, ends)
        return _Ends(ends.done, failed)

    def race(self, node: Node, at: str, begin: tuple[int, int, str], ends: _Ends) -> None:
        """Add alternatives: it is done with the first that is done, and fails
        when all have failed.

        Alternatives share nothing, so one after another comes to the same as
        side by side, unless one waits for ever: another may outrun that.
        """
        build, name = self.build, node["id"]
        start, line, because = begin
        turn, won = build.place(f"{name} races"), build.place(f"{name} is won")
        count = len(node["race"])
        idle = [build.place(f"{name} alternative {one} not begun") for one in range(1, count + 1)]
        gone = [build.place(f"{name} alternative {one} gone") for one in range(1, count + 1)]
        word = Word(step=name, text=f"{name!r} races", line=line, because=because)
        build.move(name, [start], [turn, *idle], word=word)
        cleared = won
        waiting = [one["name"] for one in node["race"] if may_wait(one["nodes"])]
        if 0 < len(waiting) < count:
            text = f"race {name!r}: {waiting[0]!r} can wait for ever, and another may be done first"
            build.unknown.append(text)
        for index, one in enumerate(node["race"]):
            begun = build.place(f"{name} alternative {index + 1}")
            own = _Ends(
                build.place(f"{name} alternative {index + 1} done"),
                build.place(f"{name} alternative {index + 1} failed"),
            )
            build.move(f"{name} to {index + 1}", [turn, idle[index]], [begun])
            self.siblings(one["nodes"], f"{at}/race/{index}/nodes", begun, own)
            build.move(f"{name} by {index + 1}", [own.done], [won, gone[index]])
            build.move(f"{name} without {index + 1}", [own.failed], [turn, gone[index]])
            after = ends.done if index == count - 1 else build.place(f"{name} left {index + 1}")
            build.move(f"{name} leaves {index + 1}", [cleared, idle[index]], [after])
            build.move(f"{name} is through with {index + 1}", [cleared, gone[index]], [after])
            cleared = after
        build.move(f"{name} is lost", [turn, *gone], [ends.failed])

    def pipeline(self, node: Node, at: str, begin: tuple[int, int, str], ends: _Ends) -> None:
        """Add stages an element goes through, for any number of elements."""
        build, name = self.build, node["id"]
        start, line, because = begin
        turn, done = build.place(f"{name} element"), build.place(f"{name} element done")
        opened = build.place(f"{name} opened")
        word = Word(step=name, text=f"{name!r} begins", line=line, because=because)
        build.move(name, [start], [opened], word=word)
        why = self.each(name, node["pipeline"]["over"], (opened, turn, done), ends)
        outer, self.because = self.because, because or why
        stages = node["pipeline"]["stages"]
        for index, stage in enumerate(stages):
            last = index == len(stages) - 1
            after = done if last else build.place(f"{name} after stage {index + 1}")
            inner = _Ends(after, ends.failed)
            self.node(stage, f"{at}/pipeline/stages/{index}", turn, inner)
            turn = after
        self.because = outer

    def updates(self) -> list[int]:
        """Add what others may have done while it runs; return where each is
        over, for which the end of the run waits.

        Once or never: a second time comes to the same. An update that could
        come again and again would hide that the run itself is stuck.
        """
        build = self.build
        found = []
        for name, update in self.spec.get("updates", {}).items():
            expected = build.place(f"update {name} expected", 1)
            told, over = build.place(f"update {name}"), build.place(f"update {name} over")
            build.move(f"update {name} from outside", [expected], [told])
            build.move(f"no update {name}", [expected], [over])
            self.siblings(update["nodes"], f"/updates/{name}/nodes", told, _Ends(over, over))
            found.append(over)
        return found

    def branch(self, node: Node, at: str, begin: tuple[int, int, str], ends: _Ends) -> None:
        """Add choices: the first whose condition holds, or none."""
        build, name = self.build, node["id"]
        start, line, because = begin
        word = Word(step=name, text=f"{name!r} chooses", line=line, because=because)
        choosing = build.place(f"{name} chooses")
        build.move(name, [start], [choosing], word=word)
        seen: dict[str, int] = {}
        certain = ""
        for index, choice in enumerate(node["branch"], 1):
            when = choice.get("when")
            why = certain
            holds = self.holds(when)
            if when is not None and when in seen and not why:
                why = f"choice {seen[when]} with the same condition is taken first"
            elif holds is False and not why:
                why = f"its condition {when!r} never holds"
            where = self.line_of(f"{at}/branch/{index - 1}")
            taken = build.place(f"{name} choice {index}")
            if not why:
                word = Word(
                    step=f"choice {index} of {name}",
                    text=f"{name!r} takes choice {index}",
                    line=where,
                    kind=CHOICE,
                )
                build.move(f"{name} takes {index}", [choosing], [taken], word=word)
            else:
                never = build.place(f"{name} never {index}")
                word = Word(
                    step=f"choice {index} of {name}",
                    text=f"{name!r} takes choice {index}",
                    line=where,
                    kind=CHOICE,
                    because=why,
                )
                build.move(f"{name} takes {index}", [never], [taken], word=word)
            if when is not None:
                seen.setdefault(when, index)
            if holds is True and not certain:
                certain = f"choice {index} is always taken first"
            self.siblings(choice["nodes"], f"{at}/branch/{index - 1}/nodes", taken, ends)
        if not certain:
            build.move(f"{name} takes none", [choosing], [ends.done])
        build.move(f"{name} cannot choose", [choosing], [ends.failed])

    def remembered(self, node: Node, at: str, done: int, after: int) -> None:
        """Remember once that a node was done and can be undone."""
        build, name = self.build, node["id"]
        undoable = build.place(f"{name} undoable")
        untouched = build.place(f"{name} untouched", 1)
        build.move(f"{name} is remembered", [done, untouched], [undoable, after])
        build.move(f"{name} is remembered again", [done], [after], reads=[undoable])

        word = Word(
            step=name,
            text=f"{node['compensate']['action']} undoes {name!r}",
            line=self.line_of(f"{at}/compensate"),
            kind=UNDO,
            because="nothing after it can fail",
        )
        self.undos.append((name, word, undoable, untouched))
