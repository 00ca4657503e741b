"""The pool of workers that measure: what one clip may cost, and what becomes of the next."""

import asyncio
import os
from pathlib import Path

import numpy as np
import pytest
from clips import music, synthesise
from fakes.measuring import needs_measure

from flamingo_pod.audio.decode import DecodeLimits
from flamingo_pod.audio.memory_file import MemoryFile
from flamingo_pod.measurement import compiled_code
from flamingo_pod.measurement import worker as worker_process
from flamingo_pod.measurement.measuring_pool import MeasuringFailed, MeasuringPool

pytestmark = needs_measure
CLIP = synthesise.encoded(music.clicks(120)[0], music.RATE_HZ, "WAV", "PCM_16")
LONG = synthesise.encoded(np.resize(music.clicks(120)[0], 900 * 16_000), 16_000, "WAV", "PCM_16")
LIMITS = DecodeLimits(1200)


async def using(scenario, **changes):
    pool = MeasuringPool(**({"num_workers": 1, "timeout_s": 60.0} | changes))
    try:
        return await scenario(pool)
    finally:
        pool.stop()


async def measured(pool, data=CLIP, limits=LIMITS):
    with MemoryFile() as file:
        file.write(data)
        return await pool.measure(file, limits)


def workers_of(pool):
    return list(pool._pool._pool_manager.worker_manager.workers)


def wait_until_measuring(pool):
    tasks = pool._pool._pool_manager.task_manager.tasks
    while not any(task.worker_id for task in list(tasks.values())):
        pass


def compiled_files(folder):
    return [path for path in Path(folder).rglob("*.nbi") if path.is_file()]


def test_a_worker_measures_one_clip_after_the_other_at_low_priority():
    async def scenario(pool):
        assert pool._pool is None  # no process before there is a clip
        found = await asyncio.gather(*(measured(pool) for _ in range(5)))
        (worker,) = workers_of(pool)
        return found, os.getpriority(os.PRIO_PROCESS, worker)

    found, priority = asyncio.run(using(scenario))
    assert len({each.beats.tempo_bpm for each in found}) == 1
    assert found[0].beats.tempo_bpm == pytest.approx(120, rel=0.01)
    assert priority == os.getpriority(os.PRIO_PROCESS, 0) + worker_process.NICENESS


def test_a_clip_that_takes_too_much_cpu_time_fails_and_the_next_one_does_not():
    async def scenario(pool):
        await measured(pool)
        pool.max_cpu_s = 1
        with pytest.raises(MeasuringFailed, match="more than 1 s of CPU time"):
            await measured(pool, LONG)
        pool.max_cpu_s = 60
        return await measured(pool)

    assert asyncio.run(using(scenario)).beats is not None


def test_a_cancelled_measurement_stops_its_worker():
    async def scenario(pool):
        await measured(pool)
        (worker,) = workers_of(pool)
        task = asyncio.create_task(measured(pool, LONG))
        await asyncio.to_thread(wait_until_measuring, pool)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        found = await measured(pool)
        return worker in workers_of(pool), found

    is_same, found = asyncio.run(using(scenario))
    assert not is_same
    assert found.beats is not None


def test_what_cannot_be_decoded_says_why():
    async def scenario(pool):
        with pytest.raises(MeasuringFailed, match="unsupported audio format"):
            await measured(pool, b"not audio" * 100)

    asyncio.run(using(scenario))


def test_a_pod_that_may_not_write_beside_librosa_compiles_in_a_folder_of_its_own():
    async def scenario(pool):
        # As `compiled_code.create_folder` does in a read-only filesystem.
        folder = compiled_code.private_folder()
        pool._folder = folder
        pool._pool = pool._new_pool()
        found = await measured(pool)
        return found, compiled_files(folder.name), folder.name

    found, files, name = asyncio.run(using(scenario))
    assert found.beats is not None
    assert files
    assert not Path(name).exists()
