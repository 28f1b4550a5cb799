"""Trade laws: what must hold of messages, transactions and deployments when a
simulated squad has come to rest."""

from __future__ import annotations

from collections import Counter
from typing import Any

from agentsquad.kernel.event import Event
from agentsquad.runtime.engine.versions import pins
from agentsquad.testing.simulator.squad_oracle import SquadOracle
from agentsquad.testing.simulator.trade import HEARS, WARE, Trade, source_of

Journals = dict[str, list[Event]]
VERSIONS_MAX = 10


def check_trade(oracle: SquadOracle, trade: Trade, journals: Journals) -> None:
    """Check all of them; findings go to the oracle."""
    events = sorted(oracle.known.values(), key=lambda one: one.seq)
    _check_messages(oracle, events, journals)
    _check_transactions(oracle, trade, events, journals)
    _check_deployments(oracle, events, journals)


def outcomes(journals: Journals, action: str) -> list[tuple[Any, str | None]]:
    """Return (input, the event that ended it) of every effect of an action."""
    found = []
    for events in journals.values():
        ends = {
            e.payload["position"]: e.type
            for e in events
            if e.type in ("effect.confirmed", "effect.failed")
        }
        found += [
            (e.payload["input"], ends.get(e.payload["position"]))
            for e in events
            if e.type == "effect.planned" and e.payload["action"] == action
        ]
    return found


def _check_messages(oracle: SquadOracle, events: list[Event], journals: Journals) -> None:
    """A message is said once, and starts one run of each that listens."""
    said = Counter(
        (e.payload["topic"], e.payload["payload"]) for e in events if e.type == "message.published"
    )
    heard = Counter(
        (journal[0].payload["workflow"], journal[0].payload["input"])
        for journal in journals.values()
        if journal[0].payload["workflow"] in HEARS.values()
    )
    for (topic, n), count in said.items():
        if count > 1:
            oracle.find("a message is said once", f"{topic} {n} was said {count} times")
        if heard[HEARS[topic], n] != 1:
            times = heard[HEARS[topic], n]
            oracle.find("one run for each message", f"{topic} {n} started {times} runs")
    for workflow, n in heard:
        if not any(HEARS[topic] == workflow and m == n for topic, m in said):
            oracle.find("one run for each message", f"{workflow} heard {n}, which nobody said")
    for asked, outcome in outcomes(journals, "messages.publish"):
        there = bool(said[asked["topic"], asked["payload"]])
        if outcome is not None and there != (outcome == "effect.confirmed"):
            oracle.find("what was said is true", f"{asked}: {outcome}, in the log: {there}")


def _check_transactions(
    oracle: SquadOracle, trade: Trade, events: list[Event], journals: Journals
) -> None:
    """Both databases did the same things, each once, just those that were
    decided, and hold nothing back."""
    decided = {
        e.stream.removeprefix("transaction/"): e.payload["commit"]
        for e in events
        if e.type == "transaction.decided"
    }
    books = [Counter(n for _, n in one.done) for one in trade.databases]
    for one, book in zip(trade.databases, books, strict=True):
        if one.promised:
            oracle.find("no promise is left", f"{one.name} still holds {one.promised}")
        for gid, n in one.done:
            key = gid.removeprefix("squad-").rpartition("-")[0]
            if not decided.get(key):
                oracle.find("the decision is the log's", f"{one.name} did {n}: {gid} was not")
        if book != books[0]:
            oracle.find("both or neither", f"{one.name} did {book}, the other {books[0]}")
        for n, count in book.items():
            if count > 1:
                oracle.find("a transaction happens once", f"{one.name} did {n} {count} times")
    for asked, outcome in outcomes(journals, "transactions.run"):
        n = asked["parts"][0]["statements"][0]["params"][0]
        if outcome is not None and bool(books[0][n]) != (outcome == "effect.confirmed"):
            oracle.find("what was done is true", f"{n}: {outcome}, in the books: {books[0][n]}")


def _check_deployments(oracle: SquadOracle, events: list[Event], journals: Journals) -> None:
    """A run runs under a version that was deployed before, and comes out as
    that version says."""
    digests = {source_of(n).digest: n for n in range(VERSIONS_MAX)}
    made: dict[str, int] = {}
    for event in events:
        if event.type == "version.deployed":
            made.setdefault(event.payload["digest"], event.seq)
    for run, journal in journals.items():
        if journal[0].payload["workflow"] != WARE:
            continue
        told = [journal[0], *(e for e in journal if e.type == "run.adopted")]
        for event in told:
            digest = event.payload["definition"]
            if made.get(digest, event.seq) >= event.seq:
                oracle.find("code comes before its runs", f"{run}: {digest} at {event.seq}")
        last = digests.get(pins(journal)[-1].definition)
        if journal[-1].type == "run.completed" and journal[-1].payload["output"][0] != last:
            oracle.find("a run keeps its version", f"{run}: {journal[-1].payload}, not {last}")
