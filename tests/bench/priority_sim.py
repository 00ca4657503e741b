"""Live latency beside a batch, without a machine: `python tests/bench/priority_sim.py`.

A simulation: the real scheduler plans, and a model of a device says how long each step takes. So
the figures are those of scheduling alone; what client, router and pod cost on shared cores is not
in them. Live requests come one after the other, with pauses; a batch of low priority keeps many
requests in flight. "normal" is the same batch without its priority.
"""

import argparse
import random
import statistics
from dataclasses import dataclass, field

import numpy as np

from flamingo_pod.engine.scheduling.scheduler import Scheduler, SchedulerLimits
from flamingo_pod.engine.scheduling.sequence import Prefix, SamplingParams, Sequence, SequenceState
from flamingo_pod.engine.scheduling.step_plan import StepPlan

WINDOW_TOKENS, NUM_TEXT, WORD = 750, 60, 7
LIVE_TOKENS, BATCH_TOKENS = 100, 200
EOS = 0


@dataclass(frozen=True)
class Device:
    """How long a step takes."""

    step_s: float
    """What a step takes whatever it has: on a GPU, reading the weights."""
    row_s: float
    token_s: float
    window_s: float
    num_kv_tokens: int
    max_num_seqs: int = 256

    def windows_s(self, plan: StepPlan) -> float:
        audio = sum(job.prefix.window_tokens[job.index] for job in plan.windows)
        return audio / WINDOW_TOKENS * self.window_s

    def rows_s(self, plan: StepPlan) -> float:
        if not plan.chunks:
            return 0.0
        prefill_s = self.token_s * plan.num_prefilled
        return max(self.step_s, prefill_s) + self.row_s * plan.num_decoding


DEVICES = {
    "80 GB GPU": Device(0.007, 20e-6, 28e-6, 0.005, 950_000),
    "24 GB GPU": Device(0.020, 60e-6, 152e-6, 0.023, 90_000, 128),
    "CPU, tiny model": Device(0.002, 0.001, 0.0003, 0.010, 50_000, 64),
}


@dataclass
class Simulation:
    """One engine, the live requests and the batch."""

    device: Device
    num_batch: int
    """Requests that the batch keeps in flight."""
    is_low: bool
    pause_s: float = 0.2
    live_source: random.Random = field(default_factory=lambda: random.Random(1))
    batch_source: random.Random = field(default_factory=lambda: random.Random(2))
    now_s: float = 0.0
    num_steps: int = 0
    lengths: dict[Sequence, int] = field(default_factory=dict)
    latencies_s: list[float] = field(default_factory=list)
    num_batch_done: int = 0

    def __post_init__(self) -> None:
        limits = SchedulerLimits(self.device.num_kv_tokens, self.device.max_num_seqs)
        self.scheduler, self.num_submitted = Scheduler(limits), 0
        self.batch: set[Sequence] = set()

    def submit(self, num_windows: int, num_output: int, *, is_low: bool) -> Sequence:
        number = self.num_submitted
        self.num_submitted += 1
        windows = [WINDOW_TOKENS] * num_windows
        prefix = Prefix(number.to_bytes(4, "little"), sum(windows) + 20, 20, windows)
        ids = np.full(prefix.num_tokens + NUM_TEXT - 20, number, np.int32)
        params = SamplingParams(max_tokens=2048)
        made = Sequence(
            number, ids, params, self.now_s, prefix, eos_ids=frozenset({EOS}), is_low=is_low
        )
        self.lengths[made] = num_output
        self.scheduler.submit(made)
        return made

    def run(self, num_live: int) -> None:
        """Answer live requests, one after the other; the first tenth is not counted."""
        for number in range(num_live):
            until_s = self.now_s + self.live_source.expovariate(1 / self.pause_s)
            while self.now_s < until_s:
                self.step(until_s)
            # It arrives at any time: the step that runs has begun before.
            num_tokens = 1 + int(self.live_source.expovariate(1 / LIVE_TOKENS))
            live = self.submit(1, num_tokens, is_low=False)
            while live.state is not SequenceState.FINISHED:
                self.step()
            if number >= num_live // 10:
                self.latencies_s.append(self.now_s - until_s)

    def step(self, until_s: float = 0.0) -> None:
        while len(self.batch) < self.num_batch:
            num_tokens = 1 + int(self.batch_source.expovariate(1 / BATCH_TOKENS))
            self.batch.add(self.submit(1, num_tokens, is_low=self.is_low))
        plan = self.scheduler.schedule(self.now_s)
        if plan.is_empty:
            self.now_s = until_s
            return
        windows_s, rows_s = self.device.windows_s(plan), self.device.rows_s(plan)
        self.now_s += windows_s + rows_s
        self.num_steps += 1
        sampled = {c.sequence: self.token(c.sequence) for c in plan.chunks if c.is_sampled}
        finished = set(self.scheduler.commit(plan, sampled, now_s=self.now_s))
        self.scheduler.observe(plan, windows_s + rows_s, windows_s=windows_s)
        self.num_batch_done += len(finished & self.batch)
        self.batch -= finished
        for each in finished:
            del self.lengths[each]

    def token(self, sequence: Sequence) -> int:
        return EOS if len(sequence.output_ids) + 1 >= self.lengths[sequence] else WORD


@dataclass(frozen=True)
class Outcome:
    """Figures of one simulation."""

    p50_s: float
    p95_s: float
    batch_per_s: float


def simulate(
    device: Device, *, num_batch: int, is_low: bool, num_live: int, pause_s: float = 0.2
) -> Outcome:
    """Return the latencies of live requests beside a batch, and what the batch did."""
    run = Simulation(device, num_batch, is_low, pause_s)
    run.run(num_live)
    p95_s = statistics.quantiles(run.latencies_s, n=20)[-1]
    return Outcome(statistics.median(run.latencies_s), p95_s, run.num_batch_done / run.now_s)


def batch_alone(device: Device, *, num_batch: int, is_low: bool, seconds: float) -> float:
    """Return the requests a second of a batch without live requests."""
    run = Simulation(device, num_batch, is_low)
    while run.now_s < seconds:
        run.step()
    return run.num_batch_done / run.now_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--live", type=int, default=60, help="live requests")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 32])
    given = parser.parse_args()
    print("| device | batch | p50: low | normal | p95: low | normal | batch alone: low / normal |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |", flush=True)
    for name, device in DEVICES.items():
        alone = simulate(device, num_batch=0, is_low=True, num_live=given.live)
        for num_batch in given.batch:
            low, normal = (
                simulate(device, num_batch=num_batch, is_low=is_low, num_live=given.live)
                for is_low in (True, False)
            )
            rates = [
                batch_alone(device, num_batch=num_batch, is_low=is_low, seconds=40)
                for is_low in (True, False)
            ]
            cells = (
                f"{low.p50_s / alone.p50_s:.2f}",
                f"{normal.p50_s / alone.p50_s:.2f}",
                f"{low.p95_s / alone.p95_s:.2f}",
                f"{normal.p95_s / alone.p95_s:.2f}",
                f"{rates[0] / rates[1]:.3f}",
            )
            print(f"| {name} | {num_batch} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
