"""Distributed tracing: W3C Trace Context propagation, and spans for an OpenTelemetry collector.

Spans are recorded only if the extra `otel` is installed and OpenTelemetry's environment
variables (`OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_SERVICE_NAME`, `OTEL_TRACES_SAMPLER` …)
configure a collector. Otherwise OpenTelemetry is not imported, and the trace context of a
request is logged and propagated unchanged.
"""

import importlib.util
import os
import re
import time
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from flamingo_common.service import extras, logs

TRACEPARENT = "traceparent"
ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
PACKAGES = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")
_PARENT = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_ZEROS = re.compile("0+")
Attribute = str | int | float | bool | list[str]


@dataclass(slots=True)
class Span:
    """The span of one request; without a tracer only the IDs of its trace."""

    trace_id: str = ""
    span_id: str = ""
    is_sampled: bool = False
    _otel: Any = None
    _tracer: Any = None
    _wall_ns: int = field(default_factory=lambda: time.time_ns() - time.monotonic_ns())

    @property
    def log_fields(self) -> dict[str, str]:
        """Fields that identify the span in log lines."""
        return {"trace_id": self.trace_id, "span_id": self.span_id} if self.trace_id else {}

    @property
    def exemplar(self) -> dict[str, str] | None:
        """Exemplar for a histogram; None if the trace is not sampled."""
        return {"trace_id": self.trace_id} if self.is_sampled else None

    @property
    def is_recording(self) -> bool:
        """Whether the span is recorded, so that attributes are useful."""
        return self._otel is not None and bool(self._otel.is_recording())

    def describe(self, name: str, attributes: Mapping[str, Attribute]) -> None:
        """Set name and attributes; they must not contain any user content."""
        if self.is_recording:
            self._otel.update_name(name)
            self.set_attributes(attributes)

    def set_attributes(self, attributes: Mapping[str, Attribute]) -> None:
        """Add attributes."""
        if self.is_recording:
            self._otel.set_attributes(attributes)

    def set_error(self, code: str) -> None:
        """Set the status to an error with `code`."""
        if self.is_recording:
            self._otel.set_attribute("error.type", code)
            self._otel.set_status(_error_status(code))

    def add_child(self, name: str, start_s: float | None, end_s: float | None) -> None:
        """Add a child span between two times of the monotonic clock, if both are set."""
        if not self.is_recording or start_s is None or end_s is None:
            return
        start_ns, end_ns = (self._wall_ns + int(at_s * 1e9) for at_s in (start_s, end_s))
        self._tracer.start_span(name, context=_context_of(self._otel), start_time=start_ns).end(
            end_ns
        )

    def inject(self, headers: MutableMapping[str, str]) -> None:
        """Propagate this span in `headers`; without a recorded span they stay unchanged."""
        if self._otel is not None:
            flags = "01" if self.is_sampled else "00"
            headers[TRACEPARENT] = f"00-{self.trace_id}-{self.span_id}-{flags}"


NO_SPAN = Span()
_current: ContextVar[Span] = ContextVar("span", default=NO_SPAN)
_tracers: list[Any] = []
"""The tracer of this process, if spans are recorded."""


def configure(*, service: str) -> bool:
    """Send spans to the collector in the environment; return whether one is configured."""
    is_configured = any(os.environ.get(name) for name in ENDPOINTS)
    is_off = (
        os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
        or os.environ.get("OTEL_TRACES_EXPORTER", "otlp") == "none"
    )
    if not is_configured or is_off:
        return False
    if not _is_installed():
        logs.get().warning("traces.not_installed", hint=extras.advice("otel"))
        return False
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415 - an extra
        OTLPSpanExporter,
    )
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    os.environ.setdefault("OTEL_SERVICE_NAME", f"flamingo-{service}")
    # The last spans are sent when the process exits, which must not wait for an unreachable
    # collector.
    os.environ.setdefault("OTEL_EXPORTER_OTLP_TIMEOUT", "3")
    provider = TracerProvider(resource=Resource.create())
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    _tracers[:] = [provider.get_tracer("flamingo")]
    return True


def _is_installed() -> bool:
    try:
        return all(importlib.util.find_spec(name) is not None for name in PACKAGES)
    except ModuleNotFoundError:  # the parent package is missing
        return False


def current_span() -> Span:
    """Return the span of the current request."""
    return _current.get()


@contextmanager
def server_span(name: str, headers: Mapping[str, str]) -> Iterator[Span]:
    """Start the span of a request, in the trace of `headers`, and end it with the block."""
    parent = _PARENT.fullmatch(headers.get(TRACEPARENT, ""))
    if parent and (_ZEROS.fullmatch(parent[1]) or _ZEROS.fullmatch(parent[2])):
        parent = None
    span = _start(name, parent, headers.get("tracestate")) if _tracers else _unrecorded(parent)
    token = _current.set(span)
    try:
        yield span
    finally:
        _current.reset(token)
        if span._otel is not None:  # noqa: SLF001 - of this module
            span._otel.end()  # noqa: SLF001


def _unrecorded(parent: re.Match[str] | None) -> Span:
    if parent is None:
        return NO_SPAN
    return Span(parent[1], parent[2], is_sampled=bool(int(parent[3], 16) & 1))


def _start(name: str, parent: re.Match[str] | None, state: str | None) -> Span:
    from opentelemetry import trace  # noqa: PLC0415 - an extra

    context = None
    if parent is not None:
        flags = trace.TraceFlags(int(parent[3], 16) & 1)
        states = trace.TraceState.from_header([state]) if state else None
        remote = trace.SpanContext(
            int(parent[1], 16),
            int(parent[2], 16),
            is_remote=True,
            trace_flags=flags,
            trace_state=states,
        )
        context = trace.set_span_in_context(trace.NonRecordingSpan(remote))
    tracer = _tracers[0]
    otel = tracer.start_span(name, context=context, kind=trace.SpanKind.SERVER)
    own = otel.get_span_context()
    return Span(
        f"{own.trace_id:032x}",
        f"{own.span_id:016x}",
        is_sampled=own.trace_flags.sampled,
        _otel=otel,
        _tracer=tracer,
    )


def _context_of(otel: Any) -> Any:
    from opentelemetry import trace  # noqa: PLC0415 - an extra

    return trace.set_span_in_context(otel)


def _error_status(code: str) -> Any:
    from opentelemetry import trace  # noqa: PLC0415 - an extra

    return trace.Status(trace.StatusCode.ERROR, code)
