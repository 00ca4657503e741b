"""Tracing: OpenTelemetry is imported only if configured, and trace contexts are propagated."""

import subprocess
import sys

import pytest

from flamingo_common.service import traces

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PROGRAM = """
import sys
from flamingo_common.service import traces
{}
print(traces.configure(service='pod'))
print(any(name.startswith('opentelemetry') for name in sys.modules if sys.modules[name]))
"""


def configured(before="", **environ):
    """Return whether tracing is on and OpenTelemetry imported in a new process, and its output."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(before)],
        env={"PATH": "", **environ},
        capture_output=True,
        check=True,
    )
    return done.stdout.decode().split()[-2:], done.stdout.decode() + done.stderr.decode()


COLLECTOR = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}


@pytest.mark.parametrize(
    "environ",
    [
        {},
        COLLECTOR | {"OTEL_SDK_DISABLED": "true"},
        COLLECTOR | {"OTEL_TRACES_EXPORTER": "none"},
    ],
    ids=["no collector", "disabled", "no exporter"],
)
def test_disabled_tracing_imports_nothing(environ):
    assert configured(**environ)[0] == ["False", "False"]


def test_a_missing_extra_is_logged():
    state, output = configured("sys.modules['opentelemetry'] = None", **COLLECTOR)
    assert state == ["False", "False"]
    assert "pip install '.[otel]'" in output


def test_a_configured_collector_is_used():
    assert configured(**COLLECTOR)[0] == ["True", "True"]


def test_a_trace_context_is_logged_and_propagated_unchanged():
    given = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
    with traces.server_span("POST /v1/x", given) as span:
        assert traces.current_span() is span
        assert span.log_fields == {"trace_id": TRACE, "span_id": PARENT}
        assert span.exemplar == {"trace_id": TRACE}
        headers = dict(given)
        span.inject(headers)
        assert headers == given
    assert traces.current_span().log_fields == {}


@pytest.mark.parametrize(
    "given",
    [
        "",
        "00-abc-def-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01\n",
    ],
)
def test_an_invalid_traceparent_is_ignored(given):
    with traces.server_span("POST /v1/x", {"traceparent": given}) as span:
        assert span.log_fields == {}
        assert span.exemplar is None


def test_an_unsampled_trace_is_logged_but_not_an_exemplar():
    with traces.server_span("POST /v1/x", {"traceparent": f"00-{TRACE}-{PARENT}-00"}) as span:
        assert span.log_fields["trace_id"] == TRACE
        assert span.exemplar is None
