"""CPU time of the scheduler for a step that decodes: `python tests/bench/scheduler_cpu.py`.

No model runs: every sequence gets a token in each step. Some sequences wait, since the batch or the
KV pool is full, as they do in a busy pod.
"""

import argparse
import statistics
import time

import numpy as np

from flamingo_pod.engine.scheduling.scheduler import Scheduler, SchedulerLimits
from flamingo_pod.engine.scheduling.sequence import SamplingParams, Sequence

NUM_PROMPT, MAX_TOKENS, TOKEN = 800, 600, 7
NUM_STEPS = 400
CASES = ((64, 0), (64, 1000), (256, 0), (256, 1000))
"""Decoding and waiting sequences."""


def sequence(number: int) -> Sequence:
    return Sequence(
        number=number,
        prompt_ids=np.full(NUM_PROMPT, number, np.int32),
        params=SamplingParams(max_tokens=MAX_TOKENS, stop_token_ids=frozenset({1})),
        arrived_s=0.0,
        salt=number.to_bytes(4, "little"),
        eos_ids=frozenset({0, 2}),
    )


def scheduler_of(num_decoding: int, num_waiting: int, *, is_pool_full: bool) -> Scheduler:
    """Return a scheduler whose running sequences have all been prefilled."""
    num_slots = num_decoding * (NUM_PROMPT + MAX_TOKENS)
    max_num_seqs = 1024 if is_pool_full else num_decoding
    capacity = num_slots if is_pool_full else 2 * num_slots
    scheduler = Scheduler(SchedulerLimits(kv_cache_tokens=capacity, max_num_seqs=max_num_seqs))
    for number in range(num_decoding + num_waiting):
        scheduler.submit(sequence(number))
    while len(scheduler.running) < num_decoding or any(not s.output_ids for s in scheduler.running):
        step(scheduler)
    return scheduler


def step(scheduler: Scheduler) -> tuple[float, float]:
    """Return the CPU seconds of `schedule` and of `commit`."""
    before_s = time.thread_time()
    plan = scheduler.schedule(0.0)
    scheduled_s = time.thread_time()
    sampled = {chunk.sequence: TOKEN for chunk in plan.chunks if chunk.is_sampled}
    sampled_s = time.thread_time()
    scheduler.commit(plan, sampled, now_s=0.0)
    return scheduled_s - before_s, time.thread_time() - sampled_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=NUM_STEPS)
    given = parser.parse_args()
    print("| decoding | waiting | full | schedule, ms | commit, ms |")
    print("| ---: | ---: | --- | ---: | ---: |", flush=True)
    for num_decoding, num_waiting in CASES:
        for is_pool_full in (False, True) if num_waiting else (False,):
            scheduler = scheduler_of(num_decoding, num_waiting, is_pool_full=is_pool_full)
            times = [step(scheduler) for _ in range(given.steps)]
            figures = [f"{1e3 * statistics.median(each):.3f}" for each in zip(*times, strict=True)]
            full = ("pool" if is_pool_full else "batch") if num_waiting else ""
            cells = (num_decoding, num_waiting, full, *figures)
            print(f"| {' | '.join(map(str, cells))} |", flush=True)


if __name__ == "__main__":
    main()
