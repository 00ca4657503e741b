"""Batches of a real fleet whose processes are killed."""

import pytest
from fakes import batch_kills, processes

NUM_CLIPS, NUM_DAMAGED = 60, 6


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("batch") / "clips"
    batch_kills.write_clips(folder, NUM_CLIPS, num_damaged=NUM_DAMAGED)
    return folder


@pytest.fixture(scope="module")
def expected(fleet, clips, tmp_path_factory):
    """What a run that is not disturbed returns."""
    output = tmp_path_factory.mktemp("undisturbed")
    counts = batch_kills.finish(batch_kills.start(fleet[0].address, clips, output))
    assert (counts["num_done"], counts["num_failed"]) == (NUM_CLIPS - NUM_DAMAGED, NUM_DAMAGED)
    return batch_kills.results(output)


def test_every_clip_has_a_result_or_an_error(expected):
    assert len(expected) == NUM_CLIPS
    assert list(expected.values()).count("invalid_audio") == NUM_DAMAGED


def test_a_batch_that_is_killed_at_any_moment_loses_and_repeats_nothing(
    fleet, clips, expected, tmp_path
):
    output = tmp_path / "out"
    for num_lines in (0, 1, 20, 40):
        batch = batch_kills.start(fleet[0].address, clips, output, concurrency=4)
        batch_kills.wait_for_lines(output, num_lines, batch)
        batch_kills.kill(batch)
    batch_kills.finish(batch_kills.start(fleet[0].address, clips, output))

    assert batch_kills.results(output) == expected


def test_a_batch_outlives_its_router(fleet, clips, expected, tmp_path):
    endpoints = [flag for pod in fleet[1] for flag in ("--endpoint", pod.address)]
    output = tmp_path / "out"
    with batch_kills.restartable("flamingo_router", *endpoints, folder=tmp_path) as router:
        processes.wait_until_ready(router.service)
        batch = batch_kills.start(router.address, clips, output, concurrency=4)
        batch_kills.wait_for_lines(output, 10, batch)
        router.kill()
        router.start()
        batch_kills.finish(batch)

    assert batch_kills.results(output) == expected
