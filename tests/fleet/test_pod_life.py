"""The life of real pod processes: loading, failing, shutting down."""

import asyncio
import contextlib
import json
import signal
import threading
from pathlib import Path

import httpx2
import pytest
from fakes import hub as hubs
from fakes import processes

from flamingo_common.service.exit_status import ExitStatus
from flamingo_pod.model.builtin import build, tokenizer

STUCK = str(Path(processes.__file__).parent / "stuck_pod.py")
WEIGHTS = "model.safetensors"
SHORT = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 2}
LONG = {
    "messages": [{"role": "user", "content": "Hello"}],
    "max_tokens": 20_000,
    "temperature": 0,
    "stream": True,
    "logit_bias": {str(tokenizer.build().eos_token_id): -100},
}


def events(log):
    """Return the log's lines as dicts."""
    lines = log.read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def event(log, name):
    (found,) = [each for each in events(log) if each["event"] == name]
    return found


@pytest.fixture
def hub(model_cache):
    with hubs.running(hubs.FakeHub(build.ensure_built("flamingo-tiny", model_cache))) as running:
        yield running


@pytest.fixture
def from_hub(hub, tmp_path):
    """Start a pod that loads its model from the hub."""

    def start(**options):
        return processes.service(
            "flamingo_pod",
            *("--model", hub.repo, "--revision", "v1"),
            log=tmp_path / "log",
            environ=hub.environ | {"HF_HOME": str(tmp_path / "hf"), "HF_HUB_DISABLE_XET": "1"},
            **options,
        )

    return start


async def poll_until(client, path, condition):
    """Return the first response that fulfils `condition`."""
    async with asyncio.timeout(60):
        while True:
            answer = await client.get(path)
            if condition(answer):
                return answer
            await asyncio.sleep(0.02)  # between two polls of a real process


def test_a_pod_reports_its_download_and_the_commit_it_serves(hub, from_hub):
    hub.pause_after[WEIGHTS] = 500_000

    async def scenario(address):
        async with httpx2.AsyncClient(base_url=address, timeout=60) as client:
            early = await poll_until(
                client,
                "/health/ready",
                lambda answer: answer.json()["loading"]["phase"] == "downloading",
            )
            stats = (await client.get("/stats")).json()
            rejected = await client.post("/v1/chat/completions", json=LONG)
            hub.resume.set()
            late = await poll_until(
                client, "/health/ready", lambda answer: answer.status_code == 200
            )
            cards = (await client.get("/v1/models")).json()
        return early, stats, rejected, late, cards

    with from_hub() as running:
        early, stats, rejected, late, cards = asyncio.run(scenario(running.address))

    assert early.status_code == 503
    assert int(early.headers["retry-after"]) >= 1
    body = early.json()
    assert body["status"] == stats["state"] == "loading"
    assert body["error"]["code"] == rejected.json()["error"]["code"] == "model_loading"
    assert 0 < body["loading"]["total_bytes"] < 10_000_000
    assert late.json() == {"status": "ready", "model": hub.repo, "commit": hubs.COMMIT}
    assert cards["data"][0]["commit"] == hubs.COMMIT
    assert event(running.log, "model.ready")["commit"] == hubs.COMMIT
    phases = [each["phase"] for each in events(running.log) if each["event"] == "model.loading"]
    assert "downloading" in phases


def test_a_pod_without_access_to_its_model_ends_with_its_own_exit_status(hub, from_hub):
    hub.is_gated = True
    with from_hub(ends_with=ExitStatus.MODEL_ACCESS_DENIED) as running:
        running.process.wait(60)
    assert "accept its license" in event(running.log, "model.load_failed")["error"]


@pytest.fixture(scope="module")
def stuck(model_cache, tmp_path_factory):
    """Responses of a pod before and after its engine stalls, and its log."""
    folder = tmp_path_factory.mktemp("stuck")
    flags = ("--model-impl", "transformers", "--stall-timeout-s", "2")
    environ = {"STUCK_WHEN": str(folder / "now")}
    with processes.service(
        STUCK, *flags, log=folder / "log", environ=environ, ends_with=ExitStatus.ENGINE_STALLED
    ) as running:
        processes.wait_until_ready(running)
        before = httpx2.get(f"{running.address}/health/live")
        (folder / "now").touch()
        hung = threading.Thread(target=_ask, args=(running.address,))
        hung.start()
        after = asyncio.run(_dead(running.address))
        ready = httpx2.get(f"{running.address}/health/ready")
    hung.join(30)
    assert not hung.is_alive(), "the client of a stalled pod was left hanging"
    return before, after, ready, running.log


def _ask(address):
    # When the pod ends, its connections do.
    with contextlib.suppress(httpx2.TransportError):
        httpx2.post(f"{address}/v1/chat/completions", json=LONG | {"stream": False}, timeout=60)


async def _dead(address):
    async with httpx2.AsyncClient(base_url=address) as client:
        return await poll_until(client, "/health/live", lambda answer: answer.status_code == 503)


def test_a_stalled_engine_fails_liveness_and_readiness(stuck):
    before, after, ready, _ = stuck
    assert before.json() == {"status": "live"}
    assert after.json() == {"status": "failed"}
    assert ready.status_code == 503
    assert ready.json()["status"] == "failed"


def test_the_stacks_of_a_stalled_engine_are_logged(stuck):
    line = event(stuck[3], "engine.failed")
    assert "stuck_pod.py" in " ".join(line["stacks"]["engine"])
    assert line["exit_status"] == ExitStatus.ENGINE_STALLED


def test_a_long_prefill_is_not_taken_for_a_stall(model_cache, tmp_path):
    # Longer than the limit altogether; some forty steps, each far below it.
    turns = [{"role": role, "content": "music " * 15_000} for role in ("system", "user")]
    flags = ("--model", "flamingo-tiny", "--stall-timeout-s", "2")
    with processes.service("flamingo_pod", *flags, log=tmp_path / "log") as running:
        processes.wait_until_ready(running)
        body = {"messages": turns, "max_tokens": 1}
        answer = httpx2.post(f"{running.address}/v1/chat/completions", json=body, timeout=300)
        assert answer.status_code == 200, answer.text
        assert answer.elapsed.total_seconds() > 2
        assert httpx2.get(f"{running.address}/health/live").status_code == 200


def test_a_second_signal_during_the_shutdown_delay_aborts_the_requests(model_cache, tmp_path):
    flags = ("--shutdown-delay-s", "600", "--grace-period-s", "1200")
    with (
        processes.service(
            "flamingo_pod", *flags, log=tmp_path / "log", ends_with=ExitStatus.INCOMPLETE_SHUTDOWN
        ) as running,
        httpx2.Client(base_url=running.address, timeout=60) as client,
    ):
        processes.wait_until_ready(running)
        with client.stream("POST", "/v1/chat/completions", json=LONG) as answer:
            lines = answer.iter_lines()
            next(lines)
            running.process.send_signal(signal.SIGTERM)
            draining = asyncio.run(_draining(running.address))
            late = client.post("/v1/chat/completions", json=SHORT)
            running.process.send_signal(signal.SIGTERM)
            assert running.process.wait(30) == ExitStatus.INCOMPLETE_SHUTDOWN
    assert draining.status_code == 503
    assert draining.json()["error"]["code"] == "draining"
    assert late.status_code == 200, "requests are accepted during the shutdown delay"
    assert event(running.log, "service.shutdown_incomplete")["reason"] == "second signal"
    assert event(running.log, "pod.requests_aborted")["num_requests"] == 1


async def _draining(address):
    async with httpx2.AsyncClient(base_url=address) as client:
        return await poll_until(
            client, "/health/ready", lambda answer: answer.json()["status"] == "draining"
        )
