"""Killed at any moment, the service loses no line, and no line is in the output twice."""

import contextlib

import httpx2
import openai
import pytest
from fakes import processes
from fakes.batch_service import CAPTIONS, assert_exact, create, lines_of, question, wait
from fakes.patience import PATIENCE_S

LINES = [question(number) for number in range(150)]


def test_killed_five_times_it_has_the_exact_result(service, fleet):
    """Once in each part of a batch's life: before, during and after the lines are sent."""
    batch_id = create(service.client, LINES).id
    service.kill()
    service.start()
    fleet.wait_for(30)
    service.kill()
    wait(service.start(), batch_id, lambda batch: batch.request_counts.completed > 0)
    service.kill()
    service.start()
    fleet.wait_for(len(LINES))
    service.kill()
    wait(service.start(), batch_id, lambda batch: batch.status != "in_progress")
    service.kill()
    client = service.start()
    assert_exact(client, wait(client, batch_id), LINES)
    assert {file.purpose for file in client.files.list()} == {"batch", "batch_output"}


def test_stopped_in_good_order_it_sends_no_line_twice(service, fleet):
    batch_id = create(service.client, LINES).id
    fleet.wait_for(20)
    service.stop()
    client = service.start()
    assert_exact(client, wait(client, batch_id), LINES)
    assert set(fleet.arrived.values()) == {1}


@pytest.fixture
def postgresql(server):
    return server.new_database()


def test_two_replicas_share_batches_and_one_continues_those_of_the_other(
    fleet, postgresql, replica
):
    fleet.answer_s = 0.03
    first, second = (
        replica(fleet.address, postgresql, "--max-running-batches", "2") for _ in range(2)
    )
    client = first.start()
    batch_ids = [create(client, LINES[:60]).id for _ in range(4)]
    survivor = second.start()
    fleet.wait_for(100)
    first.kill()
    for batch_id in batch_ids:
        assert_exact(survivor, wait(survivor, batch_id), LINES[:60])


def test_a_database_that_crashes_is_waited_for(fleet, postgresql, replica, server):
    fleet.answer_s = 0.05
    service = replica(fleet.address, postgresql)
    client = service.start()
    batch_id = create(client, LINES).id
    fleet.wait_for(20)
    server.crash()
    try:
        impatient = client.with_options(max_retries=0)
        with pytest.raises(openai.InternalServerError, match="cannot be reached"):
            impatient.batches.retrieve(batch_id)
        assert (
            httpx2.get(f"{service.running.address}/health/ready", timeout=PATIENCE_S).status_code
            == 503
        )
        assert (
            httpx2.get(f"{service.running.address}/health/live", timeout=PATIENCE_S).status_code
            == 200
        )
    finally:
        server.start()
    assert_exact(client, wait(client, batch_id), LINES)
    assert service.num_starts == 1


def test_a_pod_that_is_killed_costs_no_line(tmp_path, postgresql, replica):
    with contextlib.ExitStack() as stack:
        pods = [
            stack.enter_context(processes.fake_pod(tmp_path / f"pod-{number}", answer_s=0.2))
            for number in (1, 2)
        ]
        flags = [flag for pod in pods for flag in ("--endpoint", pod.address)]
        router = stack.enter_context(
            processes.service("flamingo_router", *flags, log=tmp_path / "router")
        )
        processes.wait_until_ready(router)
        client = replica(router.address, postgresql).start()
        clip = client.files.create(file=("a.wav", b"RIFF" * 999), purpose="user_data")
        body = {"audio": {"file_id": clip.id}}
        lines = [{**question(number), "url": CAPTIONS, "body": body} for number in range(120)]
        batch_id = create(client, lines, CAPTIONS).id
        wait(client, batch_id, lambda batch: batch.request_counts.completed > 0)
        pods[0].process.kill()
        batch = wait(client, batch_id)
        answered = [each["custom_id"] for each in lines_of(client, batch.output_file_id)]
        assert sorted(answered) == sorted(line["custom_id"] for line in lines)
