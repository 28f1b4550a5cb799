"""What the proxy keeps: policy, budgets, upstreams that fail, dead letters,
personal data, and runs whose process ended."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from agentsquad.integrations.proxy.desk import Desk
from agentsquad.testing.model_provider import Provider, provider

_spec = importlib.util.spec_from_file_location(
    "squad_proxy_world", Path(__file__).with_name("proxy_world.py")
)
assert _spec and _spec.loader
world: Any = sys.modules.setdefault("squad_proxy_world", importlib.util.module_from_spec(_spec))
_spec.loader.exec_module(world)
door, installed, replayed = world.door, world.installed, world.replayed

HEAD = {"authorization": f"Bearer {world.KEY}"}
ASKED: Any = {"model": "gpt-4o", "messages": [{"role": "user", "content": "How many boxes?"}]}
DENY = """package tests.models

deny contains {"clause": "tests.models.mini_only", "reason": "only small models"} if {
	input.action == "proxy.forward"
	not endswith(input.input.model, "-mini")
}

deny contains {"clause": "tests.models.words", "reason": "not a word of boxes"} if {
	input.action == "proxy.forward"
	some message in input.facts.body.messages
	contains(message.content, "boxes")
}
"""


async def post(address: str, body: Any, path: str = "/v1/chat/completions") -> httpx.Response:
    async with httpx.AsyncClient(timeout=20) as client:
        return await client.post(f"{address}{path}", json=body, headers=HEAD)


def called(squad: Any) -> int:
    """Return how many requests came as far as the upstream."""
    forwarder = squad.ports.get(Desk).forwarder
    live = forwarder._live.get("pool") if forwarder else None
    return sum(slot[0] for slot in live.ration._slots.values()) if live else 0


def priced(url: str, name: str = "priced") -> str:
    """Return a provider whose thousand tokens cost 10 dollars."""
    return f"""
apiVersion: agentsquad.dev/v1
kind: ModelProvider
metadata: {{name: {name}}}
spec:
  protocol: openai
  endpoint: {url}/v1
  models: [gpt-4o, gpt-4o-mini, text-embedding-3-small]
  costTracking: {{inputTokenCost: 10, outputTokenCost: 10}}
"""


def upstream(*providers: str, rest: str = "") -> str:
    targets = "\n".join(f"    - {{provider: {name}}}" for name in providers)
    return f"""
apiVersion: agentsquad.dev/v1
kind: Upstream
metadata: {{name: pool}}
spec:
  models: ["gpt-*", "text-*"]
  targets:
{targets}
{rest}
"""


async def test_what_policy_denies_is_never_sent_and_answered_in_the_vendors_words(
    tmp_path: Path,
) -> None:
    rules = tmp_path / "policy"
    rules.mkdir()
    (rules / "models.rego").write_text(DENY)
    with provider() as there:
        home = installed(tmp_path / "home", there.url, SQUAD_POLICY=str(rules))
        async with home as squad, door(squad) as open_:
            refused = await post(open_.address, ASKED)
            assert refused.status_code == 403
            assert refused.json()["error"]["type"] == "permission_error"
            assert "only small models" in refused.json()["error"]["message"]
            assert refused.headers["x-should-retry"] == "false"
            said = await post(open_.address, {**ASKED, "model": "gpt-4o-mini"})
            assert "not a word of boxes" in said.json()["error"]["message"]
            claude = {**ASKED, "model": "claude-x", "max_tokens": 5}
            other = await post(open_.address, claude, "/v1/messages")
            assert (other.status_code, other.json()["type"]) == (403, "error")
            fine = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}
            assert (await post(open_.address, fine)).status_code == 200
            (run,) = await open_.end()
            steps = [
                e.type
                for e in await open_.events(run)
                if e.payload.get("action") == "proxy.forward"
            ]
        async with home_again(tmp_path, there) as squad, replayed(squad, run) as (address, _):
            again = await post(address, ASKED)
            assert (again.status_code, again.json()) == (403, refused.json())
    assert sorted(steps) == ["step.completed", "step.failed", "step.failed", "step.failed"]
    assert len(there.asked) == 1


def home_again(tmp_path: Path, there: Provider) -> Any:
    return installed(tmp_path / "home", there.url)


async def test_a_budget_is_never_overspent_by_requests_at_the_same_time(tmp_path: Path) -> None:
    with provider() as there:
        home = installed(tmp_path, there.url, priced(there.url))
        async with home as squad, door(squad, "2.00USD") as open_:
            asking = {**ASKED, "max_tokens": 20}
            answers = await asyncio.gather(*(post(open_.address, asking) for _ in range(6)))
            codes = sorted(one.status_code for one in answers)
            (run,) = await open_.end()
            cost = await squad.invoke("cost.show", {"run": run})
            shown = await squad.invoke("budget.show", {"scope": f"run:{run}"})
    # Of 2.00 each reserves at most (83 bytes + 20 tokens) x 0.01 = 1.03.
    assert codes == [200, 429, 429, 429, 429, 429]
    refused = next(one for one in answers if one.status_code == 429)
    assert refused.json()["error"]["code"] == "budget.exceeded"
    assert refused.headers["x-should-retry"] == "false"
    assert len(there.asked) == 1
    assert "0.19" in repr(cost)  # 12 + 7 tokens
    assert shown.items[0].reserved in (0, "0.00")


async def test_a_price_nobody_knows_is_refused_where_a_budget_holds(tmp_path: Path) -> None:
    with provider() as there:
        async with installed(tmp_path, there.url) as squad, door(squad, "5.00USD") as open_:
            refused = await post(open_.address, ASKED)
            assert refused.json()["error"]["code"] == "budget.unknown_price"
            assert refused.status_code == 429
    assert there.asked == []


async def test_a_target_that_fails_is_left_for_another_and_then_ejected(tmp_path: Path) -> None:
    with provider() as good, provider() as bad:
        bad.fault = lambda n, path, body: (503, {}, {"error": {"message": "down"}})
        rest = "  retries: {attempts: 2}\n  eject: {minimum: 3, errorRate: 0.5, openFor: 1h}"
        home = installed(
            tmp_path, good.url, priced(good.url, "good"), priced(bad.url, "bad"),
            upstream("bad", "good", rest=rest),
        )  # fmt: skip
        async with home as squad, door(squad) as open_:
            answers = [await post(open_.address, ASKED) for _ in range(10)]
            breakers = await squad.invoke("breakers.list", {})
            (run,) = await open_.end()
            steps = [e.payload["output"] for e in await open_.events(run)
                     if e.payload.get("action") == "proxy.forward"]  # fmt: skip
    assert [one.status_code for one in answers] == [200] * 10
    assert (len(bad.asked), len(good.asked)) == (3, 10)
    assert [one.name for one in breakers.items if one.state == "open"] == ["upstream.pool/bad"]
    assert {one["upstream"] for one in steps} == {"good"}
    assert sum(one.get("attempts", 1) for one in steps) == 13
    keys = [h["idempotency-key"] for _, h, _ in [*bad.asked, *good.asked]]
    assert len(set(keys)) == 10  # a request that is sent again keeps its key


async def test_retries_are_rationed_over_all_requests(tmp_path: Path) -> None:
    with provider() as there:
        there.fault = lambda n, path, body: (500, {}, {"error": {"message": "oh"}})
        rest = "  retries: {attempts: 5, share: 0, minimum: 2}"
        home = installed(tmp_path, there.url, priced(there.url, "one"), upstream("one", rest=rest))
        async with home as squad, door(squad) as open_:
            answers = [await post(open_.address, ASKED) for _ in range(4)]
    assert [one.status_code for one in answers] == [500] * 4
    assert answers[0].json() == {"error": {"message": "oh"}}  # as the upstream said it
    assert len(there.asked) == 4 + 2


async def test_a_dead_letter_is_kept_and_can_be_sent_again(tmp_path: Path) -> None:
    with provider() as there:
        there.fault = lambda n, path, body: (503, {}, {"error": {"message": "down"}})
        home = installed(tmp_path, there.url)
        async with home as squad, door(squad) as open_:
            assert (await post(open_.address, ASKED)).status_code == 503
            (run,) = await open_.end()
            (letter,) = (await squad.invoke("proxy.dead", {})).items
            assert letter.id == f"{run}#1"
            assert "answered 503" in letter.why
            failed = await squad.invoke("proxy.retry", {"letter": letter.id})
            assert (failed.answered, failed.exit_code) == (False, 9)
            there.fault = lambda n, path, body: None
            again = await squad.invoke("proxy.retry", {"letter": letter.id})
            assert (again.answered, again.status) == (True, 200)
            assert (await squad.invoke("proxy.dead", {})).items == []
    assert there.asked[0][2] == there.asked[-1][2]


async def test_equal_deterministic_requests_under_way_share_one_answer(tmp_path: Path) -> None:
    with provider() as there:
        there.gate.clear()
        home = installed(
            tmp_path, there.url, priced(there.url),
            upstream("priced", rest="  coalesce: deterministic"),
        )  # fmt: skip
        async with home as squad, door(squad) as open_:
            cold = {**ASKED, "temperature": 0}
            asking = [asyncio.ensure_future(post(open_.address, cold)) for _ in range(5)]
            warm = [asyncio.ensure_future(post(open_.address, ASKED)) for _ in range(2)]
            await world.until(lambda: called(squad) == 7)  # all are where they would be sent
            there.gate.set()
            same = {(await one).text for one in asking}
            await asyncio.gather(*warm)
            (run,) = await open_.end()
            cost = repr(await squad.invoke("cost.show", {"run": run}))
    assert len(same) == 1
    assert len(there.asked) == 3  # one for five, and the two that need not be alike
    assert "0.57" in cost  # three answers of 0.19


async def test_embeddings_asked_for_at_once_are_sent_as_one(tmp_path: Path) -> None:
    with provider() as there:
        home = installed(
            tmp_path, there.url, priced(there.url),
            upstream("priced", rest="  batch: {wait: 200ms, size: 6}"),
        )  # fmt: skip
        async with home as squad, door(squad) as open_:
            bodies = [{"model": "text-embedding-3-small", "input": text}
                      for text in ("a", ["bb", "ccc"], "dddd", ["eeeee"], "ffffff")]  # fmt: skip
            answers = await asyncio.gather(
                *(post(open_.address, body, "/v1/embeddings") for body in bodies)
            )
            (run,) = await open_.end()
            used = [e.payload["usage"][0]["input_tokens"] for e in await open_.events(run)
                    if e.payload.get("action") == "proxy.forward"]  # fmt: skip
    lengths = [[one["embedding"][0] for one in answer.json()["data"]] for answer in answers]
    assert lengths == [[1.0], [2.0, 3.0], [4.0], [5.0], [6.0]]
    assert [[d["index"] for d in a.json()["data"]] for a in answers][1] == [0, 1]
    assert len(there.asked) == 1
    assert sum(used) == 21


def on_disk(home: Path) -> bytes:
    return b"".join(path.read_bytes() for path in home.glob("log.db*"))


async def test_personal_texts_are_sealed_and_erased_with_the_person(tmp_path: Path) -> None:
    asked = {**ASKED, "messages": [{"role": "user", "content": "Write to jane@acme.example."}]}
    with provider() as there:
        home = installed(
            tmp_path, there.url, priced(there.url), upstream("priced", rest="  personal: [email]")
        )
        async with home as squad, door(squad) as open_:
            answer = await post(open_.address, asked)
            (run,) = await open_.end()
            assert "jane@acme.example" in repr(await open_.events(run))
            assert b"jane@acme.example" not in on_disk(tmp_path)
            async with replayed(squad, run) as (address, _):
                assert (await post(address, asked)).json() == answer.json()


async def test_a_session_whose_process_ended_is_completed_by_who_resumes_it(
    tmp_path: Path,
) -> None:
    with provider() as there:
        there.gate.clear()
        squad = world.Squad(world.settings(tmp_path, there.url))
        async with door(squad) as open_:
            asking = asyncio.ensure_future(post(open_.address, ASKED))
            await asyncio.to_thread(there.came.wait, 10)
            (run,) = open_.sessions.runs
            await squad.close()  # as far as the log knows, the process is gone
            open_.sessions._open.clear()
        there.gate.set()
        with pytest.raises(httpx.HTTPError):
            await asking
        async with installed(tmp_path, there.url) as later:
            engine = later.ports.get(world.Engine)
            await engine.recover()
            outcome = await engine.wait(run, timeout_ms=10_000)
            assert outcome.output == {"requests": 1, "failed": 1}
            (letter,) = (await later.invoke("proxy.dead", {})).items
            assert letter.id == f"{run}#1"
            assert (await later.invoke("runs.replay", {"run": run})).verdict == "identical"
    assert len(there.asked) == 1


async def test_an_agent_that_goes_away_is_no_longer_answered_and_leaves_no_letter(
    tmp_path: Path,
) -> None:
    went_on: list[int] = []

    def endless(n: int, body: Any) -> Any:
        for number in range(100_000):
            went_on.append(number)
            delta = {"role": "assistant", "content": f"word {number} " + "x" * 2000}
            yield "", {"id": "c", "choices": [{"index": 0, "delta": delta}]}

    with provider() as there:
        there.streamed = {"/v1/chat/completions": endless}
        async with installed(tmp_path, there.url) as squad, door(squad) as open_:
            async with httpx.AsyncClient(timeout=20) as client:
                asking = {**ASKED, "stream": True}
                url = f"{open_.address}/v1/chat/completions"
                async with client.stream("POST", url, json=asking, headers=HEAD) as answer:
                    await anext(answer.aiter_bytes())
            (run,) = await open_.end()
            events = await open_.events(run)
            (step,) = [e for e in events if e.payload.get("action") == "proxy.forward"]
            output = await world.whole(squad, step.payload["output"])
            assert (output["cut"], output["left"]) == (True, True)
            assert events[-1].type == "run.completed"
            assert (await squad.invoke("proxy.dead", {})).items == []
    assert len(went_on) < 100_000


async def test_a_long_answer_lies_in_a_blob_and_comes_back_whole(tmp_path: Path) -> None:
    long = "All of the boxes. " * 2000
    asked = {**ASKED, "messages": [{"role": "user", "content": long}]}
    with provider() as there:
        async with installed(tmp_path, there.url) as squad, door(squad) as open_:
            live = (await post(open_.address, asked)).json()
            (run,) = await open_.end()
            assert max(len(repr(e.payload)) for e in await open_.events(run)) < 4000
            assert await squad.world.blobs.digests()
            async with replayed(squad, run) as (address, _):
                assert (await post(address, asked)).json() == live


async def test_a_session_that_a_person_cancels_answers_nothing_more(tmp_path: Path) -> None:
    with provider() as there:
        there.gate.clear()
        async with installed(tmp_path, there.url) as squad, door(squad) as open_:
            asking = asyncio.ensure_future(post(open_.address, ASKED))
            await asyncio.to_thread(there.came.wait, 10)
            (run,) = open_.sessions.runs
            await squad.invoke("runs.cancel", {"run": run, "reason": "enough"})
            assert (await asking).status_code == 503
            assert (await post(open_.address, ASKED)).status_code == 503
            there.gate.set()
            (outcome,) = await open_.sessions.close()
            assert outcome.status == "cancelled"
    assert len(there.asked) == 1
