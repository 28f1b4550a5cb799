"""The same work on other engines and agent frameworks, each in a private
environment.

`python bench/peers.py install` makes the environments under `BENCH_PEERS` (else
`build/bench`); without arguments it says which are there. `engine.py` and
`agent.py` run the cells below with each peer's own interpreter, in turns with
ours, so that both meet the same minutes. Each peer is set up as its manual says
is durable: LangGraph with its SQLite saver and durability "sync" (WAL, FULL),
DBOS on SQLite as it comes, Restate with its server on free ports of this
machine (`services/restate_peer.py`). Processor time and memory are those of the
client and of every process that helps it.
"""

from __future__ import annotations

import asyncio
import json
import operator
import os
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, TypedDict

HOME = Path(os.environ.get("BENCH_PEERS", Path(__file__).parents[1] / "build" / "bench"))
PACKAGES = {
    "langgraph": (
        "langgraph==1.2.22",
        "langgraph-checkpoint-sqlite==3.1.2",
        "langgraph-checkpoint-postgres==3.2.0",
        "psycopg[binary,pool]==3.3.9",
    ),
    "dbos": ("dbos==3.4.0",),
    "restate": ("restate-sdk==1.3.0", "granian==2.8.7", "aiohttp==3.14.5"),
    "agents": ("agent-framework-core==1.23.0", "pydantic-ai-slim==2.68.0"),
}
RESTATE_SERVER = "@restatedev/restate-server-linux-x64@1.7.12"
PAYLOAD = {"id": 0, "data": "x" * 170}
STEPS = 5
QUESTION = "What is the status of order 42?"
ANSWER = "Order 42 has shipped."
Job = Callable[[int], Awaitable[Any]]
helping: list[int] = []  # servers that work for this client, each with its children


# --- measuring ----------------------------------------------------------------


def conditions() -> dict[str, float]:
    """Return the part of one core a busy loop gets, and a 4 KiB sync in ms."""
    begin, cpu = time.perf_counter(), time.process_time()
    while time.perf_counter() - begin < 0.2:
        pass
    share = (time.process_time() - cpu) / 0.2
    with tempfile.NamedTemporaryFile(dir=Path.cwd(), prefix=".bench-sync-") as file:
        took = []
        for _ in range(40):
            begin = time.perf_counter()
            os.write(file.fileno(), b"x" * 4096)
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - begin)
    return {"cpu_share": round(share, 2), "sync_ms": round(sorted(took)[20] * 1e3, 3)}


def family() -> list[int]:
    """Return the processes that help this one."""
    found, left = [], list(helping)
    while left:
        pid = left.pop()
        found.append(pid)
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            left += map(int, task.read_text().split())
    return found


def rss_kb() -> float:
    """Return the resident memory of this process and its helpers in KB."""
    pages = sum(
        int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in ("self", *family())
    )
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e3


def cpu_s() -> float:
    """Return the processor time of this process and its helpers."""
    ticks = 0
    for pid in family():
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


async def flow(job: Job, width: int, *, seconds: float = 1e9, count: int = 10**9) -> Any:
    """Keep `width` jobs under way for a time or a number; return (latencies,
    wall s, cpu s)."""
    took: list[float] = []
    begin, cpu = time.perf_counter(), cpu_s()
    numbers = iter(range(count))

    async def worker() -> None:
        for number in numbers:
            if time.perf_counter() - begin > seconds:
                return
            started = time.perf_counter()
            await job(number)
            took.append(time.perf_counter() - started)

    await asyncio.gather(*(worker() for _ in range(min(width, count))))
    return sorted(took), time.perf_counter() - begin, cpu_s() - cpu


async def chain(job: Job, width: int, seconds: float) -> dict[str, float]:
    """Measure chains of five steps."""
    await flow(job, min(width, 20), count=50)
    numbers = lambda number: job(number + 50)  # noqa: E731 - those below are taken
    took, wall, cpu = await flow(numbers, width, seconds=seconds)
    return chain_figures(took, wall, cpu)


def chain_figures(took: list[float], wall: float, cpu: float) -> dict[str, float]:
    """Return what is told of chains: their latencies are sorted."""
    return {
        "steps_s": STEPS * len(took) / wall,
        "p50_ms": took[len(took) // 2] * 1e3,
        "p99_ms": took[int(len(took) * 0.99)] * 1e3,
        "cpu_ms": cpu / len(took) * 1e3,
        "rss_mb": rss_kb() / 1e3,
        "steps": STEPS * (len(took) + 50),  # with the warm-up
    }


def weigh(folder: str) -> int:
    """Return the bytes of the files in a folder."""
    return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())


async def park(start: Job, wake: Job, rest: Callable[[], Awaitable[Any]], size: int) -> Any:
    """Measure starting runs that wait, what they hold, and waking all of
    them."""
    limit = float(os.environ.get("BENCH_LIMIT_S", "30"))
    before = rss_kb()
    took, starting, _ = await flow(start, 100, seconds=limit, count=size)
    parked = len(took)
    held = (rss_kb() - before) / parked
    begin = time.perf_counter()
    woken, _, _ = await flow(wake, 100, seconds=limit, count=parked)
    await rest()
    waking = time.perf_counter() - begin
    return {
        "parked": parked,
        "starts_s": parked / starting,
        "kb_each": held,
        "done": len(woken),
        "done_s": len(woken) / waking,
        "waking_s": waking,
    }


# --- the peers ----------------------------------------------------------------


class State(TypedDict):
    """What a LangGraph chain or parked thread carries."""

    id: int
    data: str


class Fan(TypedDict):
    """What a LangGraph fan-out gathers."""

    n: int
    out: Annotated[list[int], operator.add]


async def langgraph(cell: str, *args: str) -> dict[str, float]:
    """LangGraph over its SQLite saver, durable before each next step."""
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver  # type: ignore[import-not-found]
    from langgraph.graph import END, START, StateGraph  # type: ignore[import-not-found]
    from langgraph.types import Command, Send, interrupt  # type: ignore[import-not-found]

    async def step(state: State) -> State:
        return {"id": state["id"] + 1, "data": state["data"]}

    async def one(state: State) -> dict[str, list[int]]:
        return {"out": [state["id"] + 1]}

    async def wait(state: State) -> dict[str, Any]:
        return {"data": interrupt("go")}

    def send(state: Fan) -> list[Any]:
        return [Send("one", {**PAYLOAD, "id": n}) for n in range(state["n"])]

    def build(saver: Any, kind: str) -> Any:
        graph = StateGraph(Fan if kind == "fan" else State)
        if kind == "fan":
            graph.add_node("first", lambda state: {"out": []})
            graph.add_node("one", one)
            graph.add_edge(START, "first")
            graph.add_conditional_edges("first", send)
            graph.add_edge("one", END)
            return graph.compile(checkpointer=saver)
        names = ["wait"] if kind == "park" else [f"step{n}" for n in range(STEPS)]
        for name in names:
            graph.add_node(name, wait if kind == "park" else step)
        for before, after in zip([START, *names], [*names, END], strict=True):
            graph.add_edge(before, after)
        return graph.compile(checkpointer=saver)

    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as folder:
        async with AsyncSqliteSaver.from_conn_string(f"{folder}/lg.db") as saver:
            graph = build(saver, cell)

            async def run(value: Any, name: str) -> Any:
                config = {"configurable": {"thread_id": name}}
                return await graph.ainvoke(value, config, durability="sync")

            if cell == "chain":
                found = await chain(lambda n: run(PAYLOAD, f"c{n}"), int(args[0]), float(args[1]))
                return {**found, "disk_b": weigh(folder) / found["steps"]}
            if cell == "start":
                return {"cpu": (await run(PAYLOAD, "s"))["id"]}
            if cell == "fan":
                begin = time.perf_counter()
                found = await run({"n": int(args[0]), "out": []}, "f")
                assert len(found["out"]) == int(args[0])
                return {"wall_s": time.perf_counter() - begin}
            return await park(
                lambda n: run(PAYLOAD, f"p{n}"),
                lambda n: run(Command(resume="x"), f"p{n}"),
                nothing,
                int(args[0]),
            )


async def dbos(cell: str, *args: str) -> dict[str, float]:
    """DBOS on SQLite as it sets it up."""
    import dbos as product  # type: ignore[import-not-found]

    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as folder:
        product.DBOS(
            config={
                "name": "bench",
                "system_database_url": f"sqlite:///{folder}/dbos.db",
                "log_level": "ERROR",
            }
        )

        @product.DBOS.step()  # type: ignore[untyped-decorator]
        async def step(value: dict[str, Any]) -> dict[str, Any]:
            return {"id": value["id"] + 1, "data": value["data"]}

        @product.DBOS.workflow()  # type: ignore[untyped-decorator]
        async def chained(value: dict[str, Any]) -> dict[str, Any]:
            for _ in range(STEPS):
                value = await step(value)
            return value

        @product.DBOS.workflow()  # type: ignore[untyped-decorator]
        async def fan(count: int) -> int:
            return len(await asyncio.gather(*(step({**PAYLOAD, "id": n}) for n in range(count))))

        @product.DBOS.workflow()  # type: ignore[untyped-decorator]
        async def parked(value: dict[str, Any]) -> Any:
            return await product.DBOS.recv_async("go", timeout_seconds=3600)

        product.DBOS.launch()
        if cell == "chain":
            found = await chain(lambda n: chained(PAYLOAD), int(args[0]), float(args[1]))
            return {**found, "disk_b": weigh(folder) / found["steps"]}
        if cell == "start":
            return {"cpu": (await chained(PAYLOAD))["id"]}
        if cell == "fan":
            await chained(PAYLOAD)
            begin = time.perf_counter()
            assert await fan(int(args[0])) == int(args[0])
            return {"wall_s": time.perf_counter() - begin}
        handles: list[Any] = []

        async def start(number: int) -> None:
            handles.append(await product.DBOS.start_workflow_async(parked, PAYLOAD))

        async def wake(number: int) -> None:
            await product.DBOS.send_async(handles[number].get_workflow_id(), "x", "go")
            await handles[number].get_result()

        return await park(start, wake, nothing, int(args[0]))


async def restate(cell: str, *args: str) -> dict[str, float]:
    """Restate: a server, a service and this client."""
    sys.path.append(str(Path(__file__).parent / "services"))
    from restate_peer import measure  # type: ignore[import-not-found]

    return await measure(cell, *args)


async def nothing() -> None:
    """Everything is done already."""


def order_status(order_id: int) -> str:
    """Return the status of an order."""
    return "shipped"


async def pydantic_ai(*args: str) -> dict[str, float]:
    """One turn of a pydantic-ai agent; nothing is journaled."""
    from pydantic_ai import Agent  # type: ignore[import-not-found]
    from pydantic_ai.messages import (  # type: ignore[import-not-found]
        ModelResponse,
        TextPart,
        ToolCallPart,
        ToolReturnPart,
    )
    from pydantic_ai.models.function import FunctionModel  # type: ignore[import-not-found]

    def model(messages: Any, info: Any) -> Any:
        if any(isinstance(part, ToolReturnPart) for part in messages[-1].parts):
            return ModelResponse(parts=[TextPart(ANSWER)])
        return ModelResponse(parts=[ToolCallPart("order_status", {"order_id": 42})])

    async def status(order_id: int) -> str:
        return "shipped"

    status.__name__ = "order_status"
    agent = Agent(FunctionModel(model), system_prompt="You are a clerk.", tools=[status])

    async def turn(number: int) -> None:
        assert (await agent.run(QUESTION)).output == ANSWER

    return await turns(turn, float(args[0]))


async def agent_framework(*args: str) -> dict[str, float]:
    """One turn of an agent-framework agent; nothing is journaled."""
    from agent_framework import (  # type: ignore[import-not-found]
        Agent,
        BaseChatClient,
        ChatMiddlewareLayer,
        ChatResponse,
        Content,
        FunctionInvocationLayer,
        Message,
    )

    class Scripted(FunctionInvocationLayer, ChatMiddlewareLayer, BaseChatClient):  # type: ignore[misc]
        def _inner_get_response(self, *, messages: Any, **_: Any) -> Any:
            async def answer() -> Any:
                content: Any = ANSWER
                if messages[-1].role != "tool":
                    content = Content.from_function_call(
                        call_id="1", name="order_status", arguments={"order_id": 42}
                    )
                return ChatResponse(messages=[Message(role="assistant", contents=[content])])

            return answer()

    async def status(order_id: int) -> str:
        return "shipped"

    status.__name__ = "order_status"
    agent = Agent(client=Scripted(), name="a", instructions="You are a clerk.", tools=[status])

    async def turn(number: int) -> None:
        assert (await agent.run(QUESTION)).text == ANSWER

    return await turns(turn, float(args[0]))


async def langgraph_agent(*args: str) -> dict[str, float]:
    """One turn of a LangGraph model-and-tool loop, durable before each step."""
    from langchain_core.messages import AIMessage, ToolMessage  # type: ignore[import-not-found]
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
    from langgraph.graph import END, START, MessagesState, StateGraph

    async def model(state: Any) -> Any:
        if isinstance(state["messages"][-1], ToolMessage):
            return {"messages": [AIMessage(ANSWER)]}
        call = {"name": "order_status", "args": {"order_id": 42}, "id": "1"}
        return {"messages": [AIMessage("", tool_calls=[call])]}

    async def tool(state: Any) -> Any:
        call = state["messages"][-1].tool_calls[0]
        status = order_status(**call["args"])
        return {"messages": [ToolMessage(status, tool_call_id=call["id"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("model", model)
    graph.add_node("tool", tool)
    graph.add_edge(START, "model")
    graph.add_conditional_edges(
        "model", lambda state: "tool" if state["messages"][-1].tool_calls else END
    )
    graph.add_edge("tool", "model")
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as folder:
        async with AsyncSqliteSaver.from_conn_string(f"{folder}/lg.db") as saver:
            built = graph.compile(checkpointer=saver)

            async def turn(number: int) -> None:
                config = {"configurable": {"thread_id": f"t{number}"}}
                value = {"messages": [("user", QUESTION)]}
                found = await built.ainvoke(value, config, durability="sync")
                assert found["messages"][-1].content == ANSWER

            return await turns(turn, float(args[0]))


async def turns(turn: Job, seconds: float) -> dict[str, float]:
    """Measure agent turns, one after another."""
    for number in range(20):
        await turn(-1 - number)
    took, wall, cpu = await flow(turn, 1, seconds=seconds)
    return {
        "cpu_ms": cpu / len(took) * 1e3,
        "p50_ms": took[len(took) // 2] * 1e3,
        "turns_s": len(took) / wall,
    }


CELLS = {
    "langgraph": ("langgraph", langgraph),
    "dbos": ("dbos", dbos),
    "restate": ("restate", restate),
    "langgraph_agent": ("langgraph", langgraph_agent),
    "pydantic_ai": ("agents", pydantic_ai),
    "agent_framework": ("agents", agent_framework),
}


def interpreter(peer: str) -> str | None:
    """Return a peer's own interpreter, None if it is not installed."""
    folder = HOME / CELLS[peer][0]
    return str(folder / "bin" / "python") if (folder / "installed.txt").exists() else None


def measured(script: str, python: str, *args: object, timeout_s: int = 150) -> dict[str, Any]:
    """Run one cell in a process of its own and return what it measured."""
    begin = time.perf_counter()
    try:
        done = subprocess.run(
            [python, script, *map(str, args)],
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"failed": f"not done after {timeout_s} s"}
    lines = [line for line in done.stdout.splitlines() if line.startswith('{"')]
    if done.returncode or not lines:
        return {"failed": (done.stderr or done.stdout).strip()[-300:]}
    return {**json.loads(lines[-1]), "process_s": time.perf_counter() - begin}


def install() -> None:
    """Make the environments that are not there yet."""
    for name, packages in PACKAGES.items():
        folder = HOME / name
        done = folder / "installed.txt"  # the last thing made, so that half an environment is none
        if done.exists() and done.read_text() == " ".join(packages):
            continue
        print(f"installing {', '.join(packages)} …", flush=True)
        venv.create(folder, with_pip=True, clear=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, "--disable-pip-version-check", *packages], check=True)
        if name == "restate":
            words = ["npm", "install", "--no-fund", "--no-audit", "--silent", RESTATE_SERVER]
            subprocess.run(words, cwd=folder, check=True)
        done.write_text(" ".join(packages))


def main() -> None:
    """Install, run one cell, or say what is there."""
    if sys.argv[1:] == ["install"]:
        install()
    elif len(sys.argv) > 1:
        found = asyncio.run(CELLS[sys.argv[1]][1](*sys.argv[2:]))  # type: ignore[operator]
        print(json.dumps(found), flush=True)
        os._exit(0)  # some peers leave threads behind
    else:
        for peer in CELLS:
            print(f"{peer:<20}{interpreter(peer) or 'not installed'}")
        print("python bench/peers.py install makes what is missing")


if __name__ == "__main__":
    main()
