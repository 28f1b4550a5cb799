"""Sound workflows grown by rules, and the same with one defect planted.

Three kinds: workflow nets grown from one transition by refinement, manifests,
and Python files. Each defect is a function that takes what is sound and returns
what is not, with the words a finding must have.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from agentsquad.runtime.control.net.petri import Net, Place, Transition

Arcs = dict[str, tuple[set[str], set[str]]]


class Grown:
    """A workflow net while it grows: arcs by transition, from i to o."""

    def __init__(self, seed: int, steps: int) -> None:
        self.draw = random.Random(seed)
        self.arcs: Arcs = {"t0": ({"i"}, {"o"})}
        self.count = 1
        self.forks: list[tuple[str, str]] = []
        self.choices: list[tuple[str, str]] = []
        self.inner: list[str] = []
        for _ in range(steps):
            self.grow()

    def name(self, kind: str) -> str:
        self.count += 1
        return f"{kind}{self.count}"

    def grow(self) -> None:
        rule = self.draw.choice(["sequence", "choice", "parallel", "loop", "parallel", "choice"])
        target = self.draw.choice(sorted(self.arcs))
        takes, puts = self.arcs.pop(target)
        if rule == "sequence":
            middle = self.name("p")
            self.inner.append(middle)
            self.arcs[target], self.arcs[self.name("t")] = (takes, {middle}), ({middle}, puts)
        elif rule == "choice":
            self.arcs[target], begin, end = (takes, set()), self.name("p"), self.name("p")
            self.arcs[target] = (takes, {begin})
            for _ in range(self.draw.randint(2, 3)):
                self.arcs[self.name("t")] = ({begin}, {end})
            self.arcs[self.name("t")] = ({end}, puts)
            self.choices.append((begin, end))
        elif rule == "parallel":
            branches = [(self.name("p"), self.name("p")) for _ in range(self.draw.randint(2, 3))]
            join = self.name("t")
            self.arcs[target] = (takes, {begin for begin, _ in branches})
            for begin, end in branches:
                self.arcs[self.name("t")] = ({begin}, {end})
            self.arcs[join] = ({end for _, end in branches}, puts)
            self.forks.append((target, join))
        else:
            middle = self.name("p")
            self.inner.append(middle)
            self.arcs[target], self.arcs[self.name("t")] = (takes, {middle}), ({middle}, puts)
            back = self.name("p")
            self.arcs[self.name("t")] = ({middle}, {back})
            self.arcs[self.name("t")] = ({back}, {middle})

    def net(self) -> Net:
        places = dict.fromkeys(["i", "o"])
        for takes, puts in self.arcs.values():
            places.update(dict.fromkeys(sorted(takes | puts)))
        index = {name: at for at, name in enumerate(places)}
        return Net(
            "grown",
            "grown",
            tuple(Place(name, name, int(name == "i")) for name in places),
            tuple(
                Transition(name, name, {index[p]: 1 for p in takes}, {index[p]: 1 for p in puts})
                for name, (takes, puts) in self.arcs.items()
            ),
        )


class NoPlaceError(Exception):
    """This net has no place for the defect."""


def _fork(grown: Grown) -> tuple[str, str]:
    """Return a transition that forks and the one that joins, as they are after
    all growing."""
    pairs = [
        (fork, join)
        for fork, join in grown.forks
        if len(grown.arcs[fork][1]) > 1 and len(grown.arcs[join][0]) > 1
    ]
    if not pairs:
        raise NoPlaceError
    return grown.draw.choice(pairs)


def join_becomes_choice(grown: Grown) -> None:
    """Each branch of a fork goes on by itself: work is done twice."""
    _, join = _fork(grown)
    takes, puts = grown.arcs.pop(join)
    for place in sorted(takes):
        grown.arcs[f"{join}_{place}"] = ({place}, puts)


def fork_becomes_choice(grown: Grown) -> None:
    """One branch is begun, and the join waits for all."""
    fork, join = _fork(grown)
    takes, puts = grown.arcs.pop(fork)
    needed = grown.arcs[join][0]
    begins = sorted(puts)
    for place in begins:
        grown.arcs[f"{fork}_{place}"] = (takes, {place})
    assert needed


def branch_is_not_begun(grown: Grown) -> None:
    """A fork forgets one of its branches."""
    fork, _ = _fork(grown)
    takes, puts = grown.arcs[fork]
    grown.arcs[fork] = (takes, puts - {max(puts)})


def branch_is_not_waited_for(grown: Grown) -> None:
    """A join forgets one of its branches: a token is left over."""
    _, join = _fork(grown)
    takes, puts = grown.arcs[join]
    grown.arcs[join] = (takes - {max(takes)}, puts)


def waits_for_what_never_comes(grown: Grown) -> None:
    """A step waits for a place nobody fills."""
    name = grown.draw.choice(sorted(grown.arcs))
    takes, puts = grown.arcs[name]
    grown.arcs[name] = (takes | {"missing"}, puts)


def circle(grown: Grown) -> None:
    """Two branches of a fork wait for each other."""
    fork, _ = _fork(grown)
    first, second = sorted(grown.arcs[fork][1])[:2]
    users = {place: _user(grown, place) for place in (first, second)}
    for mine, other in ((first, second), (second, first)):
        takes, puts = grown.arcs[users[mine]]
        grown.arcs[users[mine]] = (takes | {f"ok_{other}"}, puts | {f"ok_{mine}"})


def _user(grown: Grown, place: str) -> str:
    return next(name for name, (takes, _) in sorted(grown.arcs.items()) if place in takes)


def leaks(grown: Grown) -> None:
    """A loop leaves a token behind each time."""
    name, (takes, _) = grown.draw.choice(sorted(grown.arcs.items()))
    place = min(takes)
    grown.arcs[f"leak_{name}"] = ({place}, {place, "heap"})


def lock_is_kept(grown: Grown) -> None:
    """A step takes a lock and never gives it back, and another needs it."""
    first, second = sorted(grown.arcs)[:2]
    for name in (first, second):
        takes, puts = grown.arcs[name]
        grown.arcs[name] = (takes | {"lock"}, puts)
    takes, puts = grown.arcs[_user(grown, "i")]
    grown.arcs[_user(grown, "i")] = (takes, puts | ({"lock"} if "lock" not in takes else set()))


def step_is_orphaned(grown: Grown) -> None:
    """A step hangs on a place that nothing leads to."""
    grown.arcs["orphan"] = ({"island"}, {grown.draw.choice(["o", *grown.inner])})


def ends_too_early(grown: Grown) -> None:
    """A branch of a fork ends the whole."""
    fork, _ = _fork(grown)
    place = min(grown.arcs[fork][1])
    grown.arcs["early"] = ({place}, {"o"})


NET_DEFECTS: tuple[Callable[[Grown], None], ...] = (
    join_becomes_choice,
    fork_becomes_choice,
    branch_is_not_begun,
    branch_is_not_waited_for,
    waits_for_what_never_comes,
    circle,
    leaks,
    lock_is_kept,
    step_is_orphaned,
    ends_too_early,
)

Spec = dict[str, Any]


class Manifests:
    """Manifests that are sound: dependencies only on what stands before."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.count = 0

    def spec(self) -> Spec:
        found: Spec = {"graph": {"nodes": self.nodes(0, self.draw.randint(2, 5))}}
        if self.draw.random() < 0.1:
            found["updates"] = {"told": {"nodes": self.nodes(1, 1)}}
        if self.draw.random() < 0.1:
            found["continueAsNew"] = {"when": "${input.again}"}
        return found

    def nodes(self, depth: int, size: int) -> list[Spec]:
        found: list[Spec] = []
        for _ in range(size):
            self.count += 1
            node: Spec = {"id": f"n{self.count}", **self.body(depth)}
            if found and self.draw.random() < 0.7:
                before = [one["id"] for one in found]
                some = self.draw.sample(before, self.draw.randint(1, min(2, len(before))))
                node["dependsOn"] = sorted(some)
            if self.draw.random() < 0.3:
                node["when"] = f"${{input.flag{self.count}}}"
            found.append(node)
        return found

    def body(self, depth: int) -> Spec:
        kinds = ["action", "action", "agent", "sleep", "signal", "approval", "workflow", "value"]
        if depth < 1:
            kinds += ["nodes", "branch", "loop", "foreach", "race", "pipeline", "catch", "fail"]
        kind = self.draw.choice(kinds)
        if kind == "nodes":
            return {"nodes": self.nodes(depth + 1, self.draw.randint(1, 3))}
        if kind == "branch":
            self.count += 1
            number = self.count
            return {
                "branch": [
                    {"when": f"${{input.a > {number}}}", "nodes": self.nodes(depth + 1, 1)},
                    {"when": f"${{input.b > {number}}}", "nodes": self.nodes(depth + 1, 2)},
                    {"nodes": self.nodes(depth + 1, 1)},
                ]
            }
        if kind == "race":
            names = ("one", "other")
            return {"race": [{"name": n, "nodes": self.nodes(depth + 1, 1)} for n in names]}
        if kind == "pipeline":
            stages = self.nodes(depth + 1, 2)
            return {"pipeline": {"over": "${input.orders}", "stages": stages}}
        if kind in ("catch", "fail"):
            body: Spec = {"action": "x.try"} if kind == "catch" else {"fail": {"message": "no"}}
            return {**body, "catch": {"nodes": self.nodes(depth + 1, 2)}}
        if kind == "loop":
            return {"action": "x.turn", "loop": {"while": "${last.open > 0}", "max": 5}}
        if kind == "foreach":
            return {"action": "x.each", "foreach": "${input.items}", "limit": 3}
        plain: dict[str, Spec] = {
            "action": {"action": "x.do", "compensate": {"action": "x.undo"}},
            "agent": {"agent": "helper", "retryPolicy": {"maxRetries": 2}},
            "sleep": {"sleep": "5m"},
            "signal": {"signal": "go", "timeout": "1h"},
            "approval": {"approval": {"roles": ["boss"], "because": "it costs"}},
            "workflow": {"workflow": "other"},
            "value": {"value": {"sum": "${input.a + 1}"}},
        }
        return plain[kind]


def _two(spec: Spec) -> tuple[Spec, Spec]:
    first, second = spec["graph"]["nodes"][:2]
    return first, second


def two_wait_for_each_other(spec: Spec) -> tuple[str, str]:
    first, second = _two(spec)
    first["dependsOn"], second["dependsOn"] = [second["id"]], [first["id"]]
    return "deadlock", first["id"]


def waits_for_itself(spec: Spec) -> tuple[str, str]:
    _, second = _two(spec)
    second["dependsOn"] = [second["id"]]
    return "deadlock", second["id"]


def circle_of_three(spec: Spec) -> tuple[str, str]:
    first, second = _two(spec)
    third = {"id": "third", "action": "x.third", "dependsOn": [second["id"]]}
    spec["graph"]["nodes"].append(third)
    first["dependsOn"], second["dependsOn"] = ["third"], [first["id"]]
    return "deadlock", "third"


def waits_for_nobody(spec: Spec) -> tuple[str, str]:
    _, second = _two(spec)
    second["dependsOn"] = ["nobody"]
    return "deadlock", second["id"]


def condition_never_holds(spec: Spec) -> tuple[str, str]:
    _, second = _two(spec)
    second["when"] = "${1 > 2}"
    return "dead", second["id"]


def choice_comes_twice(spec: Spec) -> tuple[str, str]:
    choice = {"when": "${input.x > 1}", "nodes": [{"id": "same1", "action": "x.a"}]}
    again = {"when": "${input.x > 1}", "nodes": [{"id": "same2", "action": "x.b"}]}
    spec["graph"]["nodes"].append({"id": "chooses", "branch": [choice, again]})
    return "dead", "same2"


def choice_after_a_certain_one(spec: Spec) -> tuple[str, str]:
    first = {"when": "${true}", "nodes": [{"id": "sure", "action": "x.a"}]}
    other = {"nodes": [{"id": "late", "action": "x.b"}]}
    spec["graph"]["nodes"].append({"id": "chooses", "branch": [first, other]})
    return "dead", "late"


def list_is_empty(spec: Spec) -> tuple[str, str]:
    spec["graph"]["nodes"].append({"id": "each", "action": "x.each", "foreach": "${[]}"})
    return "dead", "each"


def loop_never_begins(spec: Spec) -> tuple[str, str]:
    loop = {"while": "${2 < 1}", "max": 3}
    spec["graph"]["nodes"].append({"id": "turns", "action": "x.turn", "loop": loop})
    return "dead", "turns"


def loop_always_fails(spec: Spec) -> tuple[str, str]:
    loop = {"while": "${true}", "max": 3}
    spec["graph"]["nodes"] += [
        {"id": "turns", "action": "x.turn", "loop": loop},
        {"id": "behind", "action": "x.behind", "dependsOn": ["turns"]},
    ]
    return "dead", "behind"


def undoing_never_comes(spec: Spec) -> tuple[str, str]:
    spec["graph"]["nodes"].append(
        {
            "id": "kept",
            "action": "x.keep",
            "when": "${false}",
            "compensate": {"action": "x.release"},
        }
    )
    return "dead", "undo kept"


MANIFEST_DEFECTS: tuple[Callable[[Spec], tuple[str, str]], ...] = (
    two_wait_for_each_other,
    waits_for_itself,
    circle_of_three,
    waits_for_nobody,
    condition_never_holds,
    choice_comes_twice,
    choice_after_a_certain_one,
    list_is_empty,
    loop_never_begins,
    loop_always_fails,
    undoing_never_comes,
)

HEAD = '@workflow("grown")\nasync def grown(ctx, value):\n'


class Coroutines:
    """Python workflows that are sound."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.count = 0

    def text(self) -> str:
        return HEAD + "".join(f"    {line}\n" for line in self.block(0)) + "    return value\n"

    def call(self) -> str:
        self.count += 1
        return f'await ctx.call("x.step{self.count}", value)'

    def block(self, depth: int) -> list[str]:
        found: list[str] = []
        for _ in range(self.draw.randint(1, 3)):
            found += self.statement(depth)
        return found

    def statement(self, depth: int) -> list[str]:
        kinds = ["call", "call", "sleep", "signal", "approve", "parallel", "map", "latches", "race"]
        if depth < 2:
            kinds += ["if", "while", "for", "try", "forever", "match", "function"]
        self.count += 1
        return getattr(self, f"_{self.draw.choice(kinds)}")(depth, self.count)  # type: ignore[no-any-return]

    def inner(self, depth: int) -> list[str]:
        return [f"    {line}" for line in self.block(depth + 1)]

    def _call(self, depth: int, n: int) -> list[str]:
        return [f"r{n} = {self.call()}"]

    def _sleep(self, depth: int, n: int) -> list[str]:
        return ["await ctx.sleep(1000)"]

    def _signal(self, depth: int, n: int) -> list[str]:
        return [f's{n} = await ctx.signal("go{n}", timeout_ms=1000)']

    def _approve(self, depth: int, n: int) -> list[str]:
        return [
            f'a{n} = await ctx.approve("x.pay", value, roles=["boss"], because="it costs")',
            f"if not a{n}.approved:",
            f"    {self.call()}",
        ]

    def _parallel(self, depth: int, n: int) -> list[str]:
        one, two = self.call()[6:], self.call()[6:]
        return [f"b{n} = {one}", f"await ctx.parallel(b{n}, {two})"]

    def _map(self, depth: int, n: int) -> list[str]:
        return [f'm{n} = await ctx.map(lambda one: ctx.call("x.map{n}", one), value, limit=4)']

    def _race(self, depth: int, n: int) -> list[str]:
        return [f"w{n} = await ctx.race({self.call()[6:]}, {self.call()[6:]})"]

    def _latches(self, depth: int, n: int) -> list[str]:
        return [
            f"l{n} = ctx.latch()",
            f"async def f{n}():",
            "    try:",
            f"        {self.call()}",
            "    finally:",
            f"        l{n}.open()",
            f"async def g{n}():",
            f"    await l{n}",
            f"    {self.call()}",
            f"await ctx.parallel(f{n}(), g{n}())",
        ]

    def _if(self, depth: int, n: int) -> list[str]:
        return [f"if value.flag{n}:", *self.inner(depth), "else:", *self.inner(depth)]

    def _while(self, depth: int, n: int) -> list[str]:
        return [f"while value.more{n}():", *self.inner(depth)]

    def _for(self, depth: int, n: int) -> list[str]:
        return [f"for one{n} in value.items:", *self.inner(depth)]

    def _forever(self, depth: int, n: int) -> list[str]:
        return ["while True:", *self.inner(depth), f"    if value.done{n}():", "        break"]

    def _try(self, depth: int, n: int) -> list[str]:
        return [
            "try:",
            f"    {self.call()}",
            "except ValueError:",
            *self.inner(depth),
            "finally:",
            f"    {self.call()}",
        ]

    def _match(self, depth: int, n: int) -> list[str]:
        return [
            f"match value.kind{n}:",
            '    case "a":',
            *[f"    {line}" for line in self.inner(depth)],
            "    case _:",
            *[f"    {line}" for line in self.inner(depth)],
        ]

    def _function(self, depth: int, n: int) -> list[str]:
        return [f"async def h{n}(x):", *self.inner(depth), f"await h{n}(value)"]


PYTHON_DEFECTS: dict[str, tuple[str, str, str]] = {
    "code after a return": ("return 1\nawait ctx.call('x.late')\n", "dead", "x.late"),
    "code after an endless loop": (
        "while True:\n    await ctx.sleep(1)\nawait ctx.call('x.late')\n",
        "dead",
        "x.late",
    ),
    "a condition that is never true": (
        "if False:\n    await ctx.call('x.late')\n",
        "dead",
        "x.late",
    ),
    "a loop over nothing": ("for x in []:\n    await ctx.call('x.late')\n", "dead", "x.late"),
    "two latches in a circle": (
        "a = ctx.latch()\nb = ctx.latch()\n"
        "async def one():\n    await b\n    a.open()\n"
        "async def two():\n    await a\n    b.open()\n"
        "await ctx.parallel(one(), two())\n",
        "deadlock",
        "latch 'a'",
    ),
    "a latch nobody opens": ("a = ctx.latch()\nawait a\n", "deadlock", "latch 'a'"),
    "a latch that stays closed when a step fails": (
        "a = ctx.latch()\n"
        "async def one():\n    await ctx.call('x.a')\n    a.open()\n"
        "async def two():\n    await a\n"
        "await ctx.parallel(one(), two())\n",
        "deadlock",
        "latch 'a'",
    ),
    "a latch opened in one branch only": (
        "a = ctx.latch()\nif value.x:\n    a.open()\nawait a\n",
        "deadlock",
        "latch 'a'",
    ),
    "a latch that its own waiter opens": (
        "a = ctx.latch()\nawait a\na.open()\n",
        "deadlock",
        "latch 'a'",
    ),
    "a workflow that needs itself": (
        "await ctx.run('grown', value)\n",
        "deadlock",
        "workflow 'grown'",
    ),
    "a step after both ways out": (
        "if value.x:\n    return 1\nelse:\n    raise ValueError\nawait ctx.call('x.late')\n",
        "dead",
        "x.late",
    ),
}
