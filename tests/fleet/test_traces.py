"""One trace from a client through the router into the engine; real processes, a real collector."""

import base64
import json

import httpx2
import pytest
from fakes import collector, processes

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"
CANARY = "canary-5e1f"


@pytest.fixture(scope="module")
def traced(model_cache, tmp_path_factory):
    """Yield router, pod and the collector that both send to."""
    folder = tmp_path_factory.mktemp("traced")
    with collector.running() as collecting, pytest.MonkeyPatch.context() as environ:
        environ.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collecting.address)
        environ.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
        with processes.service("flamingo_pod", log=folder / "pod") as pod:
            processes.wait_until_ready(pod)
            endpoint = ("--endpoint", pod.address)
            with processes.service("flamingo_router", *endpoint, log=folder / "router") as router:
                processes.wait_until_ready(router)
                yield router, pod, collecting


@pytest.fixture(scope="module")
def spans(traced, clips):
    """Yield the spans of one chat about a clip."""
    router, _, collecting = traced
    audio = {"data": base64.b64encode(clips["notes.mp3"]).decode(), "format": "mp3"}
    content = [{"type": "text", "text": CANARY}, {"type": "input_audio", "input_audio": audio}]
    body = {"messages": [{"role": "user", "content": content}], "max_tokens": 4}
    headers = {"traceparent": TRACEPARENT, "authorization": f"Bearer {CANARY}"}
    with httpx2.Client(base_url=router.address, timeout=60) as client:
        answer = client.post(
            f"/v1/chat/completions?api-version={CANARY}", json=body, headers=headers
        )
        assert answer.status_code == 200
    return collecting.wait_for(7)


def test_one_trace_covers_client_router_and_engine(spans):
    assert set(spans) == {
        "flamingo-router: POST /v1/chat/completions",
        "flamingo-pod: chat flamingo-tiny",
        *(f"flamingo-pod: {n}" for n in ("decode_audio", "queue", "encode", "prefill", "decode")),
    }
    assert {span.trace_id.hex() for span in spans.values()} == {TRACE}
    router = spans["flamingo-router: POST /v1/chat/completions"]
    pod = spans["flamingo-pod: chat flamingo-tiny"]
    assert router.parent_span_id.hex() == PARENT
    facts = {each.key: each.value for each in router.attributes}
    assert facts["http.route"].string_value == "/v1/chat/completions"
    assert facts["http.response.status_code"].int_value == 200
    assert pod.parent_span_id == router.span_id
    for name in ("decode_audio", "queue", "encode", "prefill", "decode"):
        assert spans[f"flamingo-pod: {name}"].parent_span_id == pod.span_id


def test_the_spans_of_a_request_are_nested_and_in_order(spans):
    pod = spans["flamingo-pod: chat flamingo-tiny"]
    names = ("decode_audio", "queue", "prefill", "decode")
    parts = [spans[f"flamingo-pod: {name}"] for name in names]
    moments = [at for part in parts for at in (part.start_time_unix_nano, part.end_time_unix_nano)]
    assert moments == sorted(moments)
    assert pod.start_time_unix_nano <= moments[0] < moments[-1] <= pod.end_time_unix_nano


def test_a_span_has_the_conventions_attributes_and_no_content(spans):
    pod = spans["flamingo-pod: chat flamingo-tiny"]
    facts = {each.key: each.value for each in pod.attributes}
    assert facts["gen_ai.operation.name"].string_value == "chat"
    assert facts["gen_ai.request.model"].string_value == "flamingo-tiny"
    assert facts["gen_ai.usage.output_tokens"].int_value == 4
    assert facts["gen_ai.usage.input_tokens"].int_value > 30
    assert facts["gen_ai.response.finish_reasons"].array_value.values[0].string_value == "length"
    assert facts["gen_ai.response.time_to_first_chunk"].double_value > 0
    assert CANARY not in str(list(spans.values()))


def test_log_lines_have_their_trace_and_span(traced, spans):
    router, pod, _ = traced
    for service, name in (
        (router, "flamingo-router: POST /v1/chat/completions"),
        (pod, "flamingo-pod: chat flamingo-tiny"),
    ):
        lines = [json.loads(line) for line in service.log.read_text().splitlines()]
        line = next(line for line in lines if line["event"] == "request.finished")
        assert line["trace_id"] == TRACE
        assert line["span_id"] == spans[name].span_id.hex()
        assert CANARY not in service.log.read_text()


def test_an_error_is_recorded_in_the_span(traced, spans):
    _, pod, collecting = traced
    num_before = len(collecting.spans)
    with httpx2.Client(base_url=pod.address, timeout=60) as client:
        client.post("/v1/audio/captions", files={"file": b"no audio at all"})
    collecting.wait_for(num_before + 1)
    _, span = collecting.spans[num_before]
    facts = {each.key: each.value.string_value for each in span.attributes}
    assert facts["error.type"] == "invalid_audio"
    assert span.status.code == span.status.STATUS_CODE_ERROR


def test_a_histogram_bucket_has_the_trace_as_exemplar(traced, spans):
    _, pod, _ = traced
    accept = {"accept": "application/openmetrics-text; version=1.0.0"}
    with httpx2.Client(base_url=pod.address, timeout=60) as client:
        text = client.get("/metrics", headers=accept).text
    assert f'# {{trace_id="{TRACE}"}}' in text


def test_an_unreachable_collector_delays_neither_answers_nor_shutdown(model_cache, tmp_path):
    with pytest.MonkeyPatch.context() as environ:
        environ.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
        log = tmp_path / "router"
        flags = ("--endpoint", "http://127.0.0.1:9", "--cold-start-hold-s", "0")
        with processes.service("flamingo_router", *flags, log=log) as r:
            with httpx2.Client(base_url=r.address, timeout=60) as client:
                assert client.post("/v1/chat/completions", json={}).status_code == 503
            r.process.terminate()
            r.process.wait(30)  # the exporter alone would go on for a minute
