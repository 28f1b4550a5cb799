"""What goes on after it was asked for: watches of resources, and the log."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest

pytestmark = pytest.mark.slow
POOL = {"spec": {"match": ["models.generate"], "slots": 2}}


@pytest.fixture
def client(address: str) -> Iterator[httpx.Client]:
    headers = {"Authorization": "Bearer ada"}
    with httpx.Client(base_url=address, headers=headers, timeout=20, trust_env=False) as found:
        yield found


def test_a_watch_tells_each_change_of_its_kind_and_no_other(client: httpx.Client) -> None:
    client.put("/v1/resources/pools/first", json=POOL)
    with client.stream("GET", "/v1/resources/pools?watch=1&after=0") as stream:
        assert stream.headers["content-type"] == "application/x-ndjson"
        lines = stream.iter_lines()
        first = json.loads(next(lines))
        client.put("/v1/resources/guards/g", json={"spec": {"match": ["a.b"], "timeoutMs": 5}})
        client.put("/v1/resources/pools/first", json={"spec": {**POOL["spec"], "slots": 3}})
        client.delete("/v1/resources/pools/first")
        changed, deleted = json.loads(next(lines)), json.loads(next(lines))
    assert (first["type"], first["name"], first["object"]["spec"]["slots"]) == ("added", "first", 2)
    assert (changed["type"], changed["object"]["spec"]["slots"]) == ("changed", 3)
    assert (deleted["type"], "object" in deleted) == ("deleted", False)
    assert first["seq"] < changed["seq"] < deleted["seq"]


def test_a_watch_goes_on_after_the_number_it_ended_with(client: httpx.Client) -> None:
    for slots in (1, 2, 3):
        client.put("/v1/resources/pools/one", json={"spec": {**POOL["spec"], "slots": slots}})
    path, headers = "/v1/resources/pools/one?watch=1", {"Accept": "text/event-stream"}
    with client.stream("GET", f"{path}&after=0", headers=headers) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        first = next(line for line in stream.iter_lines() if line.startswith("id: "))
    with client.stream("GET", path, headers={**headers, "Last-Event-ID": first[4:]}) as stream:
        lines = stream.iter_lines()
        data = next(line for line in lines if line.startswith("data: "))
    assert json.loads(data.removeprefix("data: "))["object"]["spec"]["slots"] == 2


def test_the_log_is_followed_from_any_number(client: httpx.Client) -> None:
    headers = {"Accept": "text/event-stream"}
    with client.stream("GET", "/v1/events?after=2&type=step.*", headers=headers) as stream:
        told = (line for line in stream.iter_lines() if line.startswith("data: "))
        found = [json.loads(next(told)[6:]) for _ in range(2)]
    assert all(one["type"].startswith("step.") and one["seq"] > 2 for one in found)
    assert client.head("/v1/events", headers=headers).status_code == 200
