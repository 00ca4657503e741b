"""Logs: one JSON object a line, with the fields of a request and never its content."""

import base64
import json

import httpx2
import pytest

CANARY = "canary7f3a"
ANYWHERE = {"x-request-id": "log-test", "authorization": f"Bearer sk-{CANARY}"}


def wav(data):
    return "data:audio/wav;base64," + base64.b64encode(data).decode()


@pytest.fixture(scope="module")
def lines(fleet, clips):
    """Return the lines of router and pods after every kind of request that carries a secret."""
    router, pods = fleet
    spoken = base64.b64encode(CANARY.encode() * 9).decode()
    signed = f"http://127.0.0.1:9/clip.wav?X-Amz-Signature={CANARY}"
    with httpx2.Client(base_url=router.address, timeout=60, headers=ANYWHERE) as client:
        url = wav(clips["notes.wav"])
        content = [
            {"type": "text", "text": CANARY},
            {"type": "audio_url", "audio_url": {"url": url}},
        ]
        body = {"messages": [{"role": "user", "content": content}], "max_tokens": 3}
        answer = client.post(f"/v1/chat/completions?api-version={CANARY}", json=body)
        assert answer.status_code == 200, answer.text
        body = {"messages": [{"role": CANARY, "content": CANARY}]}
        bodies = [
            {"audio": {"data": spoken}},
            {"audio": {"url": signed}},
            {"audio": {"url": f"data:audio/{CANARY};base64,{spoken}"}},
            {"audio": CANARY},
        ]
        for body in bodies:
            assert 400 <= client.post("/v1/audio/captions", json=body).status_code < 500
        assert client.post("/v1/chat/completions", json=body).status_code == 400
        assert client.post("/v1/chat/completions", content=CANARY).status_code >= 400
        assert client.post(f"/v1/embeddings?{CANARY}={CANARY}", json=body).status_code == 400
        assert client.get(f"/nowhere?token={CANARY}").status_code == 404
    texts = [service.log.read_text() for service in (router, *pods)]
    return [json.loads(line) for text in texts for line in text.splitlines()], "".join(texts)


def test_no_line_has_content_keys_or_signatures(lines):
    _, text = lines
    secrets = (CANARY, base64.b64encode(CANARY.encode()).decode()[:12], "UklGR")
    assert [secret for secret in secrets if secret in text] == []


def test_every_line_has_the_common_fields(lines):
    entries, _ = lines
    for line in entries:
        assert {"timestamp", "level", "event", "service"} <= set(line)


def test_a_requests_line_has_the_same_fields_in_router_and_pod(lines):
    entries, _ = lines
    ours = [line for line in entries if line.get("request_id") == "log-test"]
    done = {line["service"]: line for line in ours if line.get("status") == 200}
    assert set(done) == {"router", "pod"}
    for line in done.values():
        assert line["event"] == "request.finished"
        assert line["route"] == "/v1/chat/completions"
        assert line["duration_s"] > 0
        assert line["audio_s"] == pytest.approx(1.5, abs=0.1)
    assert done["pod"]["output_tokens"] == 3
    assert {line["route"] for line in ours if line["status"] == 404} == {"other"}


def test_polls_are_not_logged(fleet, lines):
    _, (pod, _) = fleet
    before = pod.log.read_text().count("\n")
    for path in ("/health", "/health/ready", "/stats", "/metrics"):
        httpx2.get(pod.address + path, timeout=60)
    assert pod.log.read_text().count("\n") == before


def test_a_load_report_takes_little_cpu_time(fleet):
    _, (pod, _) = fleet
    with httpx2.Client(base_url=pod.address, timeout=60) as client:
        before_s, num_polls = cpu_s(client), 200
        for _ in range(num_polls):
            client.get("/stats")
        assert (cpu_s(client) - before_s) / num_polls < 0.005  # 0.4 ms, and a busy machine


def cpu_s(client):
    lines = client.get("/metrics").text.splitlines()
    return next(float(x.split()[1]) for x in lines if x.startswith("process_cpu_seconds_total"))
