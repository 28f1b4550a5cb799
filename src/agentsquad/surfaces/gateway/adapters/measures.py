"""Measures of the server itself: Prometheus counters, one log line a request,
and a span a call where traces are wanted.

Labels are names of routes, actions and surfaces, never of people, runs or
namespaces: their number is bounded, and nobody's data is in them. A log line
names who asked, and never what.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Callable
from typing import Any

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from agentsquad.kernel.errors import SquadError
from agentsquad.kernel.ids import rfc3339
from agentsquad.kernel.ports import Clock
from agentsquad.surfaces.gateway.contract import Call

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
UNROUTED = "(none)"
METHODS = frozenset(
    ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE")
)
"""Others are words of strangers; each would be kept as a measure of its own."""


class ServerMeasures:
    """Counts, and writes lines to standard error."""

    def __init__(self, clock: Clock, form: str, tracer: Any = None) -> None:
        self._clock = clock
        self._json = form == "json"
        self._tracer = tracer
        self._kept = CollectorRegistry()
        self.requests = Counter(
            "squad_http_requests", "HTTP requests.", ("method", "route", "status"),
            registry=self._kept,
        )  # fmt: skip
        self.request_seconds = Histogram(
            "squad_http_request_seconds", "How long HTTP requests took.", ("route",),
            registry=self._kept, buckets=BUCKETS,
        )  # fmt: skip
        self.calls = Counter(
            "squad_calls", "Calls of actions.", ("action", "surface", "outcome"),
            registry=self._kept,
        )  # fmt: skip
        self.call_seconds = Histogram(
            "squad_call_seconds", "How long calls of actions took.", ("action",),
            registry=self._kept, buckets=BUCKETS,
        )  # fmt: skip
        self._count = 0
        self._counted: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        logging.getLogger("agentsquad.web").setLevel(logging.WARNING)

    @property
    def count(self) -> int:
        """How many calls there were."""
        return self._count

    def watch(self, name: str, text: str, value: Callable[[], float]) -> None:
        """Show a number that is asked for when somebody looks."""
        Gauge(name, text, registry=self._kept).set_function(value)

    def exposition(self) -> bytes:
        """Return everything in the text form of Prometheus."""
        return generate_latest(self._kept)

    # --- requests

    def answered(self, scope: Any, status: int, took_ms: float, number: str) -> None:
        """Hear how a request ended."""
        route = getattr(scope.get("route"), "path", UNROUTED)
        method = scope["method"] if scope["method"] in METHODS else "OTHER"
        key = (method, route, status)
        counted = self._counted.get(key)
        if counted is None:
            counted = self.requests.labels(*key), self.request_seconds.labels(route)
            self._counted[key] = counted
        counted[0].inc()
        counted[1].observe(took_ms / 1000)
        if route in ("/healthz", "/readyz", "/metrics") and status < 400:
            return
        client = scope.get("client")
        self.line(
            "request",
            method=method,
            route=route,
            status=status,
            ms=round(took_ms, 1),
            actor=scope.get("squad.actor", ""),
            address=client[0] if client else "",
            request=number,
        )

    def failed(self, scope: Any, number: str, error: Exception) -> None:
        """Hear of an error that nobody foresaw: where it was goes to the log,
        and nowhere else."""
        self.line(
            "bug",
            request=number,
            error=type(error).__name__,
            where="".join(traceback.format_tb(error.__traceback__)[-6:]),
        )

    # --- calls

    def called(self, call: Call, took_ms: float, error: BaseException | None) -> None:
        """Hear how a call ended."""
        self._count += 1
        outcome = "ok" if error is None else getattr(error, "code", type(error).__name__)
        self.calls.labels(call.action, call.caller.surface, outcome).inc()
        self.call_seconds.labels(call.action).observe(took_ms / 1000)
        private = error.private if isinstance(error, SquadError) else None
        if private:
            self.line("error", action=call.action, code=outcome, private=private)
        if self._tracer is not None:
            self._tracer.called(call, took_ms, outcome)

    def line(self, event: str, **fields: Any) -> None:
        """Write one line to the log of the process."""
        when = rfc3339(self._clock.now_ms())
        shown = {name: value for name, value in fields.items() if value != ""}
        if self._json:
            text = msgspec.json.encode({"at": when, "event": event, **shown}).decode()
        else:
            text = f"{when} {event} " + " ".join(f"{k}={_word(v)}" for k, v in shown.items())
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


def _word(value: Any) -> str:
    text = str(value)
    plain = text.isprintable() and " " not in text and '"' not in text
    return text if plain else msgspec.json.encode(text).decode()
