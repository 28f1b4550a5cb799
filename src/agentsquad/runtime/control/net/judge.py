"""The verdict on a net: which proof or search answers which question.

Cheap proofs first, then all markings if they are few, then per question what
keeps it: coverability for bounds, stubborn sets on a reduced net for deadlocks,
walks and a reduced net for transitions. A witness is fired in the net it is
told for before anybody sees it; what cannot be decided in time stays null.
"""

from __future__ import annotations

import msgspec

from agentsquad.runtime.control.net.bounds import Bounds
from agentsquad.runtime.control.net.contract import (
    Finding,
    NetVerdict,
    Pump,
    Soundness,
    Witness,
)
from agentsquad.runtime.control.net.cover import Cover, cover, pumps
from agentsquad.runtime.control.net.explore import (
    Space,
    TooManyTokensError,
    deadlock,
    everything,
    walk,
    widening,
)
from agentsquad.runtime.control.net.graph import is_live, judge_soundness, workflow_ends
from agentsquad.runtime.control.net.invariant import structural_bounds
from agentsquad.runtime.control.net.petri import (
    Net,
    Packed,
    Place,
    Transition,
    bits_for,
    members,
    numbered,
)
from agentsquad.runtime.control.net.reduce import never, reduce
from agentsquad.runtime.control.net.shorten import shortened
from agentsquad.runtime.control.net.throttle import always_enabled

FIRST = 2_000  # markings that are looked at before anything else
SMALL = 20_000  # markings of a reduced net
FEW = 60_000  # markings that are looked at one by one before anything cleverer


class Judge:
    """One net while it is judged."""

    def __init__(
        self,
        net: Net,
        bounds: Bounds,
        *,
        quick: bool = False,
        bounded: str = "",
        seldom: int = 0,
    ) -> None:
        """A `quick` one looks at few markings and proves nothing by structure;
        its deadlocks are as certain. `bounded` says why that need not be asked,
        `seldom` which transitions walks should rather not take."""
        self.net = net
        self.bounds = bounds
        self.few = FEW
        self.quick = quick
        self.seldom = seldom
        self.deadlock: bool | None = None
        self.witness: Witness | None = None
        self.firing: list[int] | None = None
        self.limits: list[int | None] = [None] * len(net.places)
        self.unbounded: list[int] | None = None
        self.pumps: list[Pump] = []
        self.some_unbounded = False
        self.dead: dict[int, str] = {}
        self.alive: set[int] = set()
        self.live: bool | None = None
        self.most: tuple[int, ...] | None = None
        self.soundness: Soundness | None = None
        self.states = 0
        self.complete = False
        self.methods: dict[str, str] = {}
        self.reasons: dict[str, str] = {}
        self.space: Space | None = None
        if bounded:
            self._bounded(bounded)

    def judge(self) -> NetVerdict:
        """Return the verdict."""
        if self.net.unsupported is not None:
            for question in ("deadlock", "unbounded", "dead"):
                self.reasons[question] = f"not a place/transition net: {self.net.unsupported}"
            return self._verdict(known_dead=False)
        self.dead = dict(never(self.net))
        if self.few:
            self._few(FIRST)
        if self.quick and not self.complete:
            self._deadlock()
        elif not self.complete:
            self._structure()
            self._searched()
        self._soundness()
        return self._verdict(known_dead=self._all_fired())

    def _searched(self) -> None:
        """Answer each question that is open by what suits it."""
        if not any(one.puts and not one.takes for one in self.net.transitions):
            self._small()  # else there is no end of its markings
        if self.unbounded is None:
            self._weights(0.1)
        if self.unbounded is None:
            self._coverability(few=True)
        if not self.some_unbounded and self.few:
            self._few(self.few)
        if not self.complete:
            if self.unbounded is None:
                self._coverability()
            if self.deadlock is None:
                self._deadlock()
            if not self._all_fired():
                self._firing()
            self._given_up()
        if self.most is None and self.unbounded == [] and None in self.limits:
            self._weights(0.03)

    def _all_fired(self) -> bool:
        return len(self.alive) + len(self.dead) >= len(self.net.transitions)

    def _structure(self) -> None:
        source = next((n for n, t in enumerate(self.net.transitions) if not t.takes), None)
        if source is not None:
            name = self.net.transitions[source].id
            self._no_deadlock(f"{name!r} needs nothing and is always enabled")

    def _weights(self, share: float) -> None:
        """Prove bounds by weights of places."""
        self.limits = structural_bounds(self.net, self.bounds.share(share))
        if all(limit is not None for limit in self.limits) and self.unbounded is None:
            self._bounded("weights of places under which no transition gains")

    def _small(self) -> None:
        """Look at all markings of a net reduced so that it fires the same."""
        small = reduce(self.net, deadlock=False)
        share = self.bounds.share(0.1, SMALL)
        try:
            space = everything(Packed(small.net, bits_for(small.net) + 4), share)
        except TooManyTokensError:
            return
        self.states = max(self.states, len(space.order))
        self.alive |= small.fired(space.fired)
        if space.complete:
            self._small_is_whole(len(space.order))

    def _small_is_whole(self, states: int) -> None:
        how = f"all {states} markings of a reduced net"
        if self.unbounded is None:
            self._bounded(how)
        for number in range(len(self.net.transitions)):
            if number not in self.alive:
                self.dead.setdefault(number, "not enabled in any reachable marking")
        self.methods["dead"] = how

    def _bounded(self, how: str) -> None:
        self.unbounded = []
        self.methods["unbounded"] = how

    def _no_deadlock(self, how: str) -> None:
        self.deadlock = False
        self.methods["deadlock"] = how

    def _few(self, most: int) -> None:
        """Look at all markings, if they are no more than that."""
        limit = max((limit or 1 for limit in self.limits), default=1)
        bounds = self.bounds.share(0.3, most)
        space = widening(
            self.net,
            lambda packed: everything(packed, bounds, edges=True),
            limit if limit < 2**20 else None,
        )
        self._seen(space)

    def _seen(self, space: Space) -> None:
        """Take from a search of the whole net what it says."""
        self.states = max(self.states, len(space.order))
        self.alive.update(members(space.fired))
        if self.deadlock is None:
            self._take_deadlock(space, [])
        if not space.complete:
            return
        self.complete, self.space = True, space
        how = "all reachable markings were looked at"
        if self.deadlock is None:
            self._no_deadlock(how)
        if self.unbounded is None:
            self._bounded(how)
        self.most = space.most()
        for number in range(len(self.net.transitions)):
            if number not in self.alive:
                self.dead.setdefault(number, "not enabled in any reachable marking")
        self.methods["dead"] = how
        if space.edges is not None:
            self.live = is_live(space)
            self.methods["live"] = how

    def _take_deadlock(self, space: Space, before: list[int]) -> bool:
        if not space.dead:
            return False
        firing = [*before, *space.path(space.dead[0])]
        return self._found(firing, "a dead marking was reached")

    def _found(self, firing: list[int], how: str) -> bool:
        """Take a deadlock if it is one: it is fired first."""
        marking = self.net.replayed(firing)
        if marking is None or self.net.enabled(marking):
            return False
        firing = shortened(self.net, firing)
        self.deadlock = True
        self.firing = firing
        self.methods["deadlock"] = how
        self.witness = self.told(firing)
        return True

    def told(self, firing: list[int]) -> Witness:
        """Return a firing sequence as a witness."""
        marking = self.net.replayed(firing)
        assert marking is not None
        return Witness(
            firing=[self.net.transitions[one].id for one in firing],
            marking=numbered(marking, self.net.places),
        )

    def _coverability(self, few: bool = False) -> None:
        bounds = self.bounds.share(0.1 if few else 0.5, 500 if few else 200_000)
        found = cover(self.net, bounds)
        fired = set(members(found.fired))
        self.alive |= fired
        if found.pumps:
            self.some_unbounded = True
            self.pumps = pumps(found)
        if not found.complete:
            self.reasons["unbounded"] = (
                f"coverability was given up after {len(found.markings)} markings ({found.stopped})"
            )
            return
        self.reasons.pop("unbounded", None)
        how = "coverability with ω"
        self.unbounded = found.unbounded
        self.methods["unbounded"] = how
        for number in range(len(self.net.transitions)):
            if number not in fired:
                self.dead.setdefault(number, "not enabled in any coverable marking")
        self.methods["dead"] = how
        self._cover_excludes(found)

    def _cover_excludes(self, found: Cover) -> None:
        if self.deadlock is None and always_enabled(self.net, self.bounds.share(0.2)):
            self._no_deadlock("excluded with numbers of tokens cut off")

    def _deadlock(self) -> None:
        """Search a reduced net with stubborn sets, then the net itself."""
        deep = not self.some_unbounded and self.unbounded is not None
        small = reduce(self.net, deadlock=True)
        share = self.bounds.share(0.5)
        space = widening(small.net, lambda packed: deadlock(packed, share, deep=deep))
        self.states = max(self.states, len(space.order))
        shape = f"reduced to {len(small.net.places)} places"
        if space.dead:
            firing = small.original(space.path(space.dead[0]))
            if self._finish(firing, f"stubborn sets, {shape}"):
                return
        elif space.complete:
            self._no_deadlock(f"stubborn sets, {shape}: none in {len(space.order)} markings")
            return
        bounds = self.bounds.share(0.6)
        space = widening(self.net, lambda packed: deadlock(packed, bounds, deep=deep))
        self.states = max(self.states, len(space.order))
        self.alive.update(members(space.fired))
        if space.dead:
            self._take_deadlock(space, [])
        elif space.complete:
            self._no_deadlock(f"stubborn sets: none in {len(space.order)} markings")
        if self.deadlock is None:
            self.reasons["deadlock"] = (
                f"the search was given up after {len(space.order)} markings ({space.stopped})"
            )

    def _finish(self, firing: list[int], how: str) -> bool:
        """Go on from where a small net is dead until the net itself is."""
        marking = self.net.replayed(firing)
        if marking is None:
            return False
        start = marking

        def again(packed: Packed) -> Space:
            packed.start = packed.pack(start)
            return deadlock(packed, self.bounds.share(0.2, 20_000))

        space = widening(self.net, again, max(start, default=1))
        if not space.dead:
            return False
        return self._found([*firing, *space.path(space.dead[0])], how)

    def _firing(self) -> None:
        """Find which transitions can fire: by walks, then on a reduced net."""
        wanted = ((1 << len(self.net.transitions)) - 1) & ~sum(
            1 << one for one in {*self.alive, *self.dead}
        )
        packed = Packed(self.net, max(16, bits_for(self.net)))
        share = self.bounds.share(0.3, 2_000_000)
        self.alive.update(members(walk(packed, share, wanted, self.seldom)))
        if self._all_fired():
            self.methods["dead"] = "each was seen to fire"
            return
        small = reduce(self.net, deadlock=False)
        bounds = self.bounds.share(0.9)
        space = widening(small.net, lambda packed: everything(packed, bounds))
        self.alive |= small.fired(space.fired)
        if space.complete:
            self._small_is_whole(len(space.order))
        elif not self._all_fired():
            left = len(self.net.transitions) - len(self.alive) - len(self.dead)
            self.reasons["dead"] = (
                f"{left} of {len(self.net.transitions)} transitions were not seen to fire in "
                f"{len(space.order)} markings ({space.stopped})"
            )

    def _given_up(self) -> None:
        if self._all_fired():
            self.reasons.pop("dead", None)
            self.methods.setdefault("dead", "each was seen to fire")
        if self.unbounded is not None:
            self.reasons.pop("unbounded", None)

    def _soundness(self) -> None:
        ends = workflow_ends(self.net)
        if ends is None:
            return
        source, sink = ends
        stuck = None
        found = judge_soundness(self.net, self.space, sink)
        if found.proper is None and not self.quick and self._sound_by_circuit(source, sink):
            found.proper = found.complete_possible = True
        if found.stuck is not None and self.space is not None:
            stuck = self.told(self.space.path(found.stuck))
        no_dead = (not self.dead) if self._all_fired() else None
        if self.some_unbounded or self.unbounded:
            found.complete_possible = found.complete_possible or None
            found.proper = False if found.proper is None else found.proper
        parts = (found.complete_possible, found.proper, no_dead)
        self.soundness = Soundness(
            sound=False if False in parts else None if None in parts else True,
            option_to_complete=found.complete_possible,
            proper=found.proper,
            no_dead=no_dead,
            source=self.net.places[source].id,
            sink=self.net.places[sink].id,
            stuck=stuck,
        )

    def _sound_by_circuit(self, source: int, sink: int) -> bool:
        """Return whether the net, led back from its end to its beginning, is
        live and bounded: then it is sound (van der Aalst)."""
        back = Transition("back", "back", {sink: 1}, {source: 1})
        circuit = msgspec.structs.replace(self.net, transitions=(*self.net.transitions, back))
        if never(circuit):
            return False
        small = reduce(circuit, deadlock=False)
        share = self.bounds.share(0.5, FEW)
        try:
            space = everything(Packed(small.net, bits_for(small.net) + 4), share, edges=True)
        except TooManyTokensError:
            return False
        return space.complete and is_live(space)

    def _verdict(self, *, known_dead: bool) -> NetVerdict:
        net, places = self.net, self.net.places
        limits = self.most or (
            None if None in self.limits else tuple(limit or 0 for limit in self.limits)
        )
        bounded = None if self.unbounded is None else not self.unbounded
        if self.some_unbounded:
            bounded = False
        safe: bool | None = None
        if self.most is not None:
            safe = max(self.most, default=0) <= 1
        elif bounded is False:
            safe = False
        elif limits is not None and max(limits, default=0) <= 1:
            safe = True
        nodes: tuple[Place | Transition, ...] = (*places, *net.transitions)
        named = {one.id: one.name for one in nodes if one.name != one.id}
        return NetVerdict(
            net=net.id,
            deadlock=self.deadlock,
            witness=self.witness,
            unbounded=None if self.unbounded is None else [places[p].id for p in self.unbounded],
            pumps=self.pumps,
            dead=[net.transitions[t].id for t in sorted(self.dead)] if known_dead else None,
            dead_because={net.transitions[t].id: why for t, why in sorted(self.dead.items())},
            bounded=bounded,
            safe=safe,
            live=self._live(),
            bounds=None
            if limits is None
            else {place.id: limit for place, limit in zip(places, limits, strict=True)},
            soundness=self.soundness,
            places=len(places),
            transitions=len(net.transitions),
            states=self.states,
            complete=self.complete,
            methods=self.methods,
            reasons=self.reasons,
            notes=list(net.notes),
            findings=findings(self),
            names=named,
            seconds=round(self.bounds.seconds, 3),
        )

    def _live(self) -> bool | None:
        if self.live is None and (self.dead or (self.deadlock and self.net.transitions)):
            return False
        return self.live


def findings(judge: Judge) -> list[Finding]:
    """Return what is wrong with a net, in its own names."""
    net, found = judge.net, []
    if judge.witness is not None and judge.firing is not None:
        way = f"after {len(judge.firing)} firings" if judge.firing else "at the start"
        at_end = judge.soundness is not None and judge.soundness.sound
        told = ", ".join(f"{p}: {count}" for p, count in list(judge.witness.marking.items())[:8])
        found.append(
            Finding(
                code="deadlock",
                message=f"{way} nothing can fire any more, with {told or 'no tokens'}"
                + (", the proper end of a sound workflow net" if at_end else ""),
            )
        )
    for pump in judge.pumps:
        places = ", ".join(map(repr, pump.places))
        loop = " → ".join(pump.again or pump.stages[-1].loop)
        found.append(
            Finding(
                code="unbounded",
                message=f"{places} can hold any number of tokens: {loop} can be repeated",
                step=pump.places[0],
            )
        )
    for number, why in sorted(judge.dead.items()):
        name = net.transitions[number].id
        found.append(Finding(code="dead", message=f"{name!r} can never fire: {why}", step=name))
    return found
