"""Traces of calls, sent to a collector that speaks OTLP."""

from __future__ import annotations

from typing import Any

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from agentsquad.kernel.ports import Clock
from agentsquad.surfaces.gateway.contract import Call


class Tracer:
    """One span a call, within the trace of who asked."""

    def __init__(self, clock: Clock, endpoint: str) -> None:
        self._clock = clock
        self._provider = TracerProvider(resource=Resource.create({"service.name": "agentsquad"}))
        self._provider.add_span_processor(
            BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces"))
        )
        self._tracer = self._provider.get_tracer("agentsquad.gateway")
        self._reader = TraceContextTextMapPropagator()

    def called(self, call: Call, took_ms: float, outcome: str) -> None:
        """Record a call that has ended."""
        ended_ns = self._clock.now_ms() * 1_000_000
        attributes: dict[str, Any] = {
            "squad.action": call.action,
            "squad.surface": call.caller.surface,
            "squad.namespace": call.caller.namespace,
            "squad.outcome": outcome,
        }
        span = self._tracer.start_span(
            call.action,
            context=self._reader.extract({"traceparent": call.caller.trace}),
            kind=SpanKind.SERVER,
            attributes=attributes,
            start_time=ended_ns - int(took_ms * 1_000_000),
        )
        span.set_status(Status(StatusCode.OK if outcome == "ok" else StatusCode.ERROR))
        span.end(ended_ns)

    def close(self) -> None:
        """Send what is left."""
        self._provider.shutdown()
