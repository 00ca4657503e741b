"""A pod's life, as real processes: where loading stands, how it ends, and what ends it."""

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
    """Return the log's lines as facts."""
    lines = log.read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def event(log, name):
    (found,) = [each for each in events(log) if each["event"] == name]
    return found


@pytest.fixture
def hub(model_cache):
    with hubs.running(hubs.FakeHub(build.ensure("flamingo-tiny", model_cache))) as running:
        yield running


@pytest.fixture
def from_hub(hub, tmp_path):
    """Start a pod that takes its model from the hub."""

    def start(**options):
        return processes.service(
            "flamingo_pod",
            *("--model", hub.repo, "--revision", "v1"),
            log=tmp_path / "log",
            environ=hub.environ | {"HF_HOME": str(tmp_path / "hf"), "HF_HUB_DISABLE_XET": "1"},
            **options,
        )

    return start


async def asked_until(client, path, condition):
    """Return the answer that fulfils `condition`."""
    async with asyncio.timeout(60):
        while True:
            answer = await client.get(path)
            if condition(answer):
                return answer
            await asyncio.sleep(0.02)  # between two questions to a real process


def test_a_pod_says_where_its_download_stands_and_which_commit_it_serves(hub, from_hub):
    hub.hold_after[WEIGHTS] = 500_000

    async def scenario(address):
        async with httpx2.AsyncClient(base_url=address, timeout=60) as client:
            early = await asked_until(
                client,
                "/health/ready",
                lambda answer: answer.json()["loading"]["phase"] == "downloading",
            )
            stats = (await client.get("/stats")).json()
            refused = await client.post("/v1/chat/completions", json=LONG)
            hub.go_on.set()
            late = await asked_until(
                client, "/health/ready", lambda answer: answer.status_code == 200
            )
            cards = (await client.get("/v1/models")).json()
        return early, stats, refused, late, cards

    with from_hub() as running:
        early, stats, refused, late, cards = asyncio.run(scenario(running.address))

    assert early.status_code == 503
    assert int(early.headers["retry-after"]) >= 1
    told = early.json()
    assert told["status"] == stats["state"] == "loading"
    assert told["error"]["code"] == refused.json()["error"]["code"] == "model_loading"
    assert 0 < told["loading"]["total_bytes"] < 10_000_000
    assert late.json() == {"status": "ready", "model": hub.repo, "commit": hubs.COMMIT}
    assert cards["data"][0]["commit"] == hubs.COMMIT
    assert event(running.log, "model.ready")["commit"] == hubs.COMMIT
    phases = [each["phase"] for each in events(running.log) if each["event"] == "model.loading"]
    assert "downloading" in phases


def test_a_pod_that_may_not_read_its_model_ends_with_a_status_that_says_so(hub, from_hub):
    hub.is_gated = True
    with from_hub(ends_with=ExitStatus.MODEL_ACCESS_DENIED) as running:
        running.process.wait(60)
    assert "accept its license" in event(running.log, "model.load_failed")["reason"]


@pytest.fixture(scope="module")
def stuck(model_cache, tmp_path_factory):
    """A pod that was stuck; yields what it said, to whom it was asked last."""
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
    assert not hung.is_alive(), "the client of a stuck pod was left hanging"
    return before, after, ready, running.log


def _ask(address):
    # When the pod ends, its connections do.
    with contextlib.suppress(httpx2.TransportError):
        httpx2.post(f"{address}/v1/chat/completions", json=LONG | {"stream": False}, timeout=60)


async def _dead(address):
    async with httpx2.AsyncClient(base_url=address) as client:
        return await asked_until(client, "/health/live", lambda answer: answer.status_code == 503)


def test_a_stuck_engine_fails_liveness_and_readiness(stuck):
    before, after, ready, _ = stuck
    assert before.json() == {"status": "live"}
    assert after.json() == {"status": "failed"}
    assert ready.status_code == 503
    assert ready.json()["status"] == "failed"


def test_the_stacks_of_a_stuck_engine_are_in_the_log(stuck):
    told = event(stuck[3], "engine.failed")
    assert "stuck_pod.py" in " ".join(told["stacks"]["engine"])
    assert told["exit_status"] == ExitStatus.ENGINE_STALLED


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


def test_a_pod_settles_and_a_second_signal_cuts_what_it_holds_and_says_how_much(
    model_cache, tmp_path
):
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
    assert late.status_code == 200, "while it settles it takes what comes"
    assert event(running.log, "service.shutdown_incomplete")["reason"] == "second signal"
    assert event(running.log, "pod.requests_aborted")["num_requests"] == 1


async def _draining(address):
    async with httpx2.AsyncClient(base_url=address) as client:
        return await asked_until(
            client, "/health/ready", lambda answer: answer.json()["status"] == "draining"
        )
