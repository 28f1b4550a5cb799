"""Populations: what is read of runs, and what may be compared."""

from __future__ import annotations

from typing import Any

import pytest

from agentsquad.insight.drift.baseline import Question, divide
from agentsquad.insight.drift.contract import DriftRunsError, DriftWindowError
from agentsquad.insight.drift.feature import columns, counts_up
from agentsquad.insight.drift.leaf import leaves
from agentsquad.insight.drift.population import Census, Observation
from agentsquad.insight.drift.window import changes, digest, enough, moment
from agentsquad.kernel.event import Event

NOW = 1_767_225_600_000  # 2026-01-01T00:00Z


class Log:
    """Events written by hand, a second apart."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def add(self, run: str, kind: str, at: int | None = None, **payload: Any) -> None:
        seq = len(self.events) + 1
        second = seq if at is None else at
        self.events.append(
            Event(
                seq=seq,
                stream=f"run/{run}",
                stream_seq=seq,
                type=kind,
                version=1,
                at=f"2026-01-01T00:{second // 60:02d}:{second % 60:02d}.000Z/0000",
                actor="person:ada",
                cause=None,
                correlation=run.partition("/")[0],
                payload_digest="",
                prev=None,
                payload=payload,
            )
        )

    def start(self, run: str, workflow: str, value: Any = None, at: int | None = None) -> None:
        self.add(
            run,
            "run.started",
            at,
            workflow=workflow,
            input=value,
            definition="sha256:d",
            policy="sha256:p",
            registry="sha256:r",
        )

    def census(self, name: str) -> dict[str, Observation]:
        found = Census(name)
        for event in self.events:
            found.add(event)
        return found.found


def case(log: Log, run: str, output: Any = None) -> None:
    log.start(run, "case", {"size": 3})
    log.add(run, "run.completed", output=output or {"outcome": "paid"})


def test_a_run_is_its_input_its_outcome_and_its_versions():
    log = Log()
    case(log, "r1", {"outcome": "paid", "lines": [{"kind": "a"}, {"kind": "b"}], "sum": 5})
    (one,) = log.census("case").values()
    assert one.status == "completed"
    assert one.numbers["input", "size"] == 3
    assert one.words["outcome", "outcome"] == ["paid"]
    assert one.words["outcome", "lines[].kind"] == ["a", "b"]
    assert one.numbers["outcome", "lines, how many"] == 2
    assert one.numbers["outcome", "sum"] == 5
    assert one.versions["policy", ""] == "sha256:p"


def test_what_agents_below_do_counts_for_the_run_above():
    log = Log()
    log.start("r1", "case")
    log.start("r1/2", "agent-turn", {"agent": "judge", "input": 1})
    brief = {"name": "judge", "spec": {"model": "m", "instructions": "be kind"}, "tools": []}
    log.add("r1/2", "step.completed", action="agents.brief", output=brief, position="1")
    usage = [{"kind": "model", "provider": "p", "model": "m", "input_tokens": 7,
              "output_tokens": 2, "cost_micros": 12, "currency": "EUR"}]  # fmt: skip
    log.add("r1/2", "step.completed", action="models.generate", usage=usage, position="2")
    for position in ("3", "4"):
        log.add("r1/2", "step.completed", action="stock.count", position=position)
    log.add("r1/2", "run.completed", output={"verdict": "yes"})
    log.add("r1", "run.completed", output="done")
    (one,) = log.census("case").values()
    assert one.numbers["tool", "judge: stock.count"] == 2
    assert one.numbers["tokens", "in"] == 7
    assert one.numbers["cost", "EUR"] == 12
    assert one.versions["model", "judge"] == "p/m"
    assert ("outcome", "verdict") not in one.words
    (turn,) = log.census("judge").values()
    assert turn.words["outcome", "verdict"] == ["yes"]
    assert turn.numbers["tool", "judge: stock.count"] == 2


def test_waiting_for_people_is_apart_from_working():
    log = Log()
    log.start("r1", "case", at=0)
    log.add("r1", "approval.requested", 10, position="1", action="pay", because="large")
    log.add("r1", "timer.set", 15, position="2", due_ms=0)
    log.add("r1", "timer.fired", 25, position="2")
    log.add("r1", "approval.given", 30, position="1")
    log.add("r1", "signal.waiting", 40, position="3", name="go")
    log.add("r1", "signal.received", 45, name="go")
    log.add("r1", "run.completed", 50, output=None)
    (one,) = log.census("case").values()
    assert one.numbers["waiting", "for people"] == 20_000
    assert one.numbers["latency", "working"] == 25_000
    assert one.words["decision", "people said"] == ["given"]


def test_decisions_of_policy_are_read_wherever_they_stand():
    log = Log()
    log.start("r1", "case")
    log.add(
        "r1",
        "effect.planned",
        action="pay",
        position="1",
        key="k",
        input={},
        decision={"allow": True, "clauses": ["b", "a"]},
    )
    log.add(
        "r1",
        "step.completed",
        action="policy.decide",
        position="2",
        input={"action": "send"},
        output={"allow": False, "clauses": ["c"]},
    )
    log.add(
        "r1",
        "step.completed",
        action="policy.query",
        position="3",
        input={"path": "data.x"},
        output={"level": "high"},
    )
    log.add("r1", "run.failed", error={"code": "policy.denied"})
    (one,) = log.census("case").values()
    assert one.words["decision", "policy on pay"] == ["allow (a, b)"]
    assert one.words["decision", "policy on send"] == ["deny (c)"]
    assert one.words["decision", "data.x level"] == ["high"]
    assert one.numbers["decision", "calls of pay"] == 1
    assert one.words["outcome", "error"] == ["policy.denied"]


def test_a_run_whose_start_was_erased_and_a_child_that_outlives_it_break_nothing():
    log = Log()
    case(log, "r1")
    log.start("r2", "case")
    log.start("r2/1", "other")
    log.add("r2/1", "timer.set", position="1", due_ms=0)
    log.add("r2", "run.cancelled")
    log.add("r2/1", "run.completed", output=None)
    gone = log.events[0]
    log.events[0] = Event(
        **{**{f: getattr(gone, f) for f in gone.__struct_fields__}, "payload": None}
    )
    assert [one.status for one in log.census("case").values()] == ["cancelled"]


def test_the_same_log_gives_the_same_population_to_the_byte():
    log = Log()
    for index in range(5):
        case(log, f"r{index}", {"outcome": "paid", "n": index})
    first, again = (list(log.census("case").values()) for _ in range(2))
    assert digest(first) == digest(again)
    assert digest(first[:-1]) != digest(first)


def test_leaves_of_a_document():
    value = {"a": [{"b": 1}, {"b": True}], "7": "x", "id": "sha256:00", "on": "2026-01-01",
             "none": None, "blob": {"$blob": "sha256:00", "size": 1}}  # fmt: skip
    assert list(leaves(value)) == [
        ("*", "x"), ("a, how many", 2.0), ("a[].b", 1.0), ("a[].b", "yes"), ("none", "none"),
    ]  # fmt: skip


def observed(kind: str, name: str, values: list[Any], root: str = "") -> list[Observation]:
    found = []
    for index, value in enumerate(values):
        one = Observation(
            run=f"r{index}",
            root=root or f"r{index}",
            started="",
            seq=index,
            status="completed",
            numbers={},
            words={},
            versions={},
        )
        (one.say if isinstance(value, str) else one.add)(kind, name, value)
        found.append(one)
    return found


def test_a_counter_a_clock_and_free_text_are_not_compared():
    count = observed("outcome", "number", [float(n) for n in range(40)])
    text = observed("outcome", "reason", [f"because {n}" for n in range(40)])
    assert columns(count[:20], count[20:]) == []
    assert columns(text[:20], text[20:]) == []
    assert counts_up([1.0, 5.0, 2.0] * 10) is False


def test_two_columns_that_say_the_same_are_tested_once():
    runs = observed("outcome", "a", ["x", "y"] * 10)
    for one in runs:
        one.say("outcome", "b", "no" if one.words["outcome", "a"] == ["x"] else "yes")
    (column,) = columns(runs[:10], runs[10:])
    assert column.name == "a"


def test_a_cost_with_a_part_of_unknown_price_is_unknown_not_small():
    runs = observed("cost", "USD", [float(100 + n % 3) for n in range(20)])
    for one in runs[15:]:
        one.numbers = {("cost", "calls of unknown price"): 1.0}
    found = {column.name: column for column in columns(runs[:10], runs[10:])}
    assert len(found["USD"].new) == 5 and 0.0 not in found["USD"].new
    assert found["calls of unknown price"].new.count(1.0) == 5


def test_times_of_runs_that_share_a_start_count_once():
    old = observed("latency", "working", [1.0, 2.0, 9.0], root="one")
    new = observed("latency", "working", [4.0, 5.0])
    (column,) = columns(old, new)
    assert (column.old, column.new, column.clustered) == ([2.0], [4.0, 5.0], True)


@pytest.mark.parametrize(
    ("text", "end", "found"),
    [
        ("2026-01-02", False, "2026-01-02T00:00:00.000Z"),
        ("2026-01-02", True, "2026-01-02T23:59:59.999Z"),
        ("2026-01-02T08:00+02:00", False, "2026-01-02T06:00:00.000Z"),
        ("2026-01-02T08:00:01.5Z", False, "2026-01-02T08:00:01.500Z"),
        ("1d", False, "2025-12-31T00:00:00.000Z"),
        ("90m", False, "2025-12-31T22:30:00.000Z"),
        ("kabc234", False, None),
    ],
)
def test_times_people_write(text, end, found):
    assert moment(text, NOW, end=end) == found


@pytest.mark.parametrize("text", ["2026-02-30", "2026-13-01", "2026-01-01T99:00"])
def test_times_that_are_none_are_refused(text):
    with pytest.raises(DriftWindowError) as caught:
        moment(text, NOW)
    assert text in caught.value.message


def hundred() -> list[Observation]:
    return [
        Observation(
            run=f"k{index:03d}",
            root=f"k{index:03d}",
            seq=index + 1,
            status="completed",
            started=f"2026-01-01T00:{index // 60:02d}:{index % 60:02d}.000Z",
        )
        for index in range(100)
    ]


def split(**question: Any) -> tuple[str, str]:
    both = divide(Question(workflow="case", **question), hundred(), None, NOW)
    return tuple(f"{side[0].run}-{side[-1].run}" for side in (both.old, both.new))  # type: ignore[return-value]


def test_windows():
    assert split() == ("k000-k049", "k050-k099")
    assert split(window=30) == ("k000-k069", "k070-k099")
    assert split(since="2026-01-01T00:01:10") == ("k000-k069", "k070-k099")
    assert split(since="k080") == ("k000-k079", "k080-k099")
    assert split(since="k080", baseline="..2026-01-01T00:00:49") == ("k000-k049", "k080-k099")
    assert split(baseline="k010..k040", window=20) == ("k010-k040", "k080-k099")


@pytest.mark.parametrize(
    ("question", "told"),
    [
        ({"since": "k050", "baseline": "k010..k060"}, "overlap"),
        ({"since": "k050", "window": 5}, "--since and --window"),
        ({"since": "nonsense"}, "neither a time nor"),
        ({"since": "k0"}, "several runs"),
        ({"baseline": "2026-01-01"}, "no window"),
        ({"baseline": ".."}, "no window"),
        ({"window": 0}, "holds none"),
    ],
)
def test_windows_that_make_no_sense_are_refused(question, told):
    with pytest.raises(DriftWindowError) as caught:
        split(**question)
    assert told in caught.value.message
    assert caught.value.hint or told == "holds none"


def test_too_few_runs_are_refused_with_how_many_are_needed():
    with pytest.raises(DriftRunsError) as caught:
        enough(10, 300, 0.05, looks=True, names={"case": 310, "step": 50, "rare": 9})
    assert "the baseline has 10 runs" in caught.value.message
    assert caught.value.details["needed"] > 100
    assert caught.value.hint.endswith("there are enough of case, step")
    with pytest.raises(DriftRunsError) as caught:
        enough(300, 3, 0.05, looks=False, names={})
    assert "there are 3 runs since" in caught.value.message
    enough(25, 25, 0.05, looks=True, names={})


def test_versions_that_changed_are_those_of_most_runs():
    def runs(versions: list[str]) -> list[Observation]:
        return [
            Observation(
                run=str(i),
                root=str(i),
                started=f"t{i}",
                seq=i,
                versions={("policy", ""): v, ("model", "judge"): "m"},
            )
            for i, v in enumerate(versions)
        ]

    (one,) = changes(runs(["a", "a", "b"]), runs(["a", "c", "c"]))
    assert (one.factor, one.old, one.new, one.first) == ("policy", "a", "c", "t1")
    assert changes(runs(["a", "a"]), runs(["a", "b", "a"])) == []
