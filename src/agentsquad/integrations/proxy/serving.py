"""Serving: sessions begun and ended, whoever they are for.

A session is a run of the engine in this process. Over Temporal, or beside
another process that drives the runs of the store, there is none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from agentsquad.integrations.proxy.contract import WORKFLOW, Endpoints, ProxyBusyError
from agentsquad.integrations.proxy.desk import Desk, Session
from agentsquad.integrations.proxy.forwarding import Forwarder
from agentsquad.integrations.proxy.session import SessionInput
from agentsquad.kernel.actor import Actor
from agentsquad.kernel.context import Context
from agentsquad.kernel.errors import InvalidError, UnsupportedError
from agentsquad.kernel.money import Money
from agentsquad.kernel.ports import Clock, EventStore
from agentsquad.runtime.engine.contract import Engine, Outcome
from agentsquad.runtime.engine.door import Step, StepContext, World
from agentsquad.runtime.resilience.budget import Limit
from agentsquad.runtime.resilience.budget_keeper import BudgetKeeper

REQUESTS_MAX = 10_000  # in one run; a session that goes on gets another
SESSIONS_MAX = 1_000  # open at one door
END_MS = 60_000  # how long the end of a session may take


class Sessions:
    """The sessions of one door: one by each name that agents give."""

    def __init__(self, ctx: Context, program: str = "", budget: str | None = None) -> None:
        self._ctx = ctx
        self._program = program
        self._budget = None if budget is None else read_budget(budget)
        self._open: dict[str, Session] = {}
        self._ending: list[Session] = []
        self._lock = asyncio.Lock()

    async def session(self, name: str = "", again: str = "") -> Session:
        """Return the session of a name, begun when first asked for."""
        found = self._open.get(name)
        if found is not None and found.requests < REQUESTS_MAX:
            return found
        async with self._lock:
            found = self._open.get(name)
            if found is not None and found.requests >= REQUESTS_MAX:
                found.end()
                self._ending.append(self._open.pop(name))
            if name not in self._open:
                if len(self._open) >= SESSIONS_MAX:
                    raise ProxyBusyError(f"{SESSIONS_MAX} sessions are open already")
                self._open[name] = await self._begin(name, again)
            return self._open[name]

    async def _begin(self, name: str, again: str) -> Session:
        ctx = self._ctx
        engine = ctx.port(Engine)  # type: ignore[type-abstract]
        await engine.own()
        if not hasattr(engine, "watchers"):
            raise UnsupportedError(
                "the proxy records with the engine of its own process",
                code="proxy.engine",
                hint="leave SQUAD_ENGINE unset for squad proxy",
            )
        desk = ctx.port(Desk)
        session = desk.open(ctx.token(8).hex(), engine)
        program = " ".join(part for part in (name, self._program) if part)
        value = SessionInput(session=session.name, program=program, again=again)
        run = await engine.start(WORKFLOW, value, actor=str(ctx.actor))
        desk.started(session, run)
        if self._budget is not None:
            currency, micros = self._budget
            limit = Limit(scope=f"run:{run}", currency=currency, micros=micros)
            await ctx.port(BudgetKeeper).set(limit, actor=str(ctx.actor))
        return session

    @property
    def runs(self) -> list[str]:
        """The runs that record them."""
        return [one.run for one in self._every()]

    @property
    def requests(self) -> int:
        """How many requests there were in all of them."""
        return sum(one.requests for one in self._every())

    def _every(self) -> list[Session]:
        return [*self._ending, *self._open.values()]

    async def close(self) -> list[Outcome]:
        """End them: what was asked is answered, and the runs complete."""
        engine = self._ctx.port(Engine)  # type: ignore[type-abstract]
        desk = self._ctx.port(Desk)
        found = []
        every = self._every()
        for session in every:
            session.end()
        for session in every:
            found.append(await engine.wait(session.run, timeout_ms=END_MS))
            desk.forget(session)
        self._open.clear()
        self._ending.clear()
        if desk.forwarder is not None:
            await desk.forwarder.close()
        return found


def context_of(world: World, actor: Actor) -> Context:
    """Return the context that a server begins somebody's sessions in."""
    return StepContext(world, Step(world.registry.action("proxy.run"), {}, actor=actor))


def forwarder(ctx: Context) -> Forwarder:
    """Return what sends requests on, one for an installation."""
    desk = ctx.port(Desk)
    if desk.forwarder is None:
        desk.forwarder = Forwarder(
            ctx.port(EventStore),  # type: ignore[type-abstract]
            ctx.port(Clock),  # type: ignore[type-abstract]
            ctx.port(Endpoints),  # type: ignore[type-abstract]
        )
    made: Forwarder = desk.forwarder
    return made


def read_budget(text: str) -> tuple[str, int]:
    """Return (currency, micro-units) of "5.00USD"."""
    amount, currency = text[:-3].strip(), text[-3:].upper()
    if not amount or not currency.isalpha():
        raise InvalidError(
            f"{text!r} is not an amount with its currency",
            code="run.budget",
            hint="write --budget 5.00USD",
        )
    return currency, Money.parse(amount, currency).micros


def surroundings(address: str, key: str) -> Mapping[str, str]:
    """Return the variables by which the usual clients find the proxy."""
    return {
        "OPENAI_BASE_URL": f"{address}/v1",
        "OPENAI_API_BASE": f"{address}/v1",
        "OPENAI_API_KEY": key,
        "ANTHROPIC_BASE_URL": address,
        "ANTHROPIC_API_KEY": key,
        "SQUAD_PROXY": address,
    }


def metered(whole: Any, usage: Any, request: Any) -> dict[str, Any]:
    """Return what a step records of its use: nothing for what is free."""
    answered = whole.answered
    if answered.status != 200 or not request.api.costs:
        return {}
    found: dict[str, Any] = {
        "kind": "model",
        "provider": answered.upstream,
        "model": request.model,
        "cost_micros": None,
    }
    if usage is not None:
        found |= {
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "cached_tokens": usage.cached_tokens,
            "cost_micros": usage.cost_micros,
            "currency": usage.currency,
            "price_date": usage.price_date,
        }
    return found
