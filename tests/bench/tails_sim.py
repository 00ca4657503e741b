"""Captions a second by how much KV is reserved for output: `python tests/bench/tails_sim.py`.

A simulation: the real scheduler plans, and a model of a GPU says how long each step takes. Requests
about clips of their own keep coming, so that some always wait; none of them sets `max_tokens`.
"""

import argparse
import random
from dataclasses import dataclass, field, replace

import numpy as np

from flamingo_pod.engine.scheduling.growth import GrowthPolicy
from flamingo_pod.engine.scheduling.memory import KvCacheManager
from flamingo_pod.engine.scheduling.scheduler import Scheduler, SchedulerLimits
from flamingo_pod.engine.scheduling.sequence import Prefix, SamplingParams, Sequence
from flamingo_pod.engine.scheduling.step_plan import StepPlan

WEIGHT_BYTES, KV_TOKEN_BYTES, NUM_PARAMETERS = 16.5e9, 57_344, 7.6e9
WINDOW_FLOP, WINDOW_TOKENS, TOKENS_PER_S = 2.27e12, 750, 25
OVERHEAD_S = 1.5e-3
NUM_TEXT, MAX_TOKENS, MEAN_OUTPUT = 60, 2048, 300
EOS, WORD, NUM_WAITING = 0, 7, 48
CLIPS_S = {"10 s": (10,), "30 s": (30,), "3 min": (180,), "10 min": (600,), "20 min": (1200,)}
MIXED = {"mixed": (10, 10, 30, 30, 180, 180, 180, 600, 1200)}


@dataclass(frozen=True)
class Card:
    name: str
    num_kv_tokens: int
    bytes_per_s: float
    flop_per_s: float
    """Of large matrix products, as reached."""


CARDS = {
    card.name: card
    for card in (
        Card("24 GB", 90_000, 0.9e12, 0.10e15),
        Card("40 GB", 310_000, 1.4e12, 0.19e15),
        Card("80 GB", 950_000, 3.0e12, 0.55e15),
    )
}


class WithoutCompaction(KvCacheManager):
    """Never moves extents together."""

    def _compact(self, num_tokens: int) -> None:
        """Leave all extents where they are."""


class FullReservation(GrowthPolicy):
    """What was before: the slots for `max_tokens` are reserved at admission."""

    def num_reserved(self, num_output: int) -> int:
        return MAX_TOKENS


@dataclass
class Run:
    card: Card
    clips_s: tuple[int, ...]
    distribution: str
    policy: GrowthPolicy
    max_num_seqs: int
    is_compacted: bool
    source: random.Random = field(default_factory=lambda: random.Random(1))
    now_s: float = 0.0
    num_copied: int = 0
    num_prefilled: int = 0
    num_running: list[int] = field(default_factory=list)
    lengths: dict[Sequence, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        limits = SchedulerLimits(self.card.num_kv_tokens, self.max_num_seqs)
        self.scheduler = Scheduler(limits, growth=self.policy)
        if not self.is_compacted:
            self.scheduler.kv_cache = WithoutCompaction(limits.kv_cache_tokens)
        self.num_submitted = 0

    def submit(self) -> None:
        number, seconds = self.num_submitted, self.source.choice(self.clips_s)
        self.num_submitted += 1
        windows = [TOKENS_PER_S * min(30, seconds - at) for at in range(0, seconds, 30)]
        prefix = Prefix(number.to_bytes(4, "little"), sum(windows) + 20, 20, windows)
        ids = np.full(prefix.num_tokens + NUM_TEXT - 20, number, np.int32)
        params = SamplingParams(max_tokens=MAX_TOKENS)
        made = Sequence(number, ids, params, self.now_s, prefix, eos_ids=frozenset({EOS}))
        self.lengths[made] = self.output_length()
        self.scheduler.submit(made)

    def output_length(self) -> int:
        if self.distribution == "geometric":
            return 1 + int(self.source.expovariate(1 / MEAN_OUTPUT))
        sigma = 0.6
        mean = np.log(MEAN_OUTPUT) - sigma**2 / 2
        return 1 + int(self.source.lognormvariate(mean, sigma))

    def step(self) -> int:
        """Run one step; return how many requests it finished."""
        while len(self.scheduler.waiting) < NUM_WAITING:
            self.submit()
        plan = self.scheduler.schedule(self.now_s)
        step_s = self.step_s(plan)
        self.now_s += step_s
        sampled = {c.sequence: self.token(c.sequence) for c in plan.chunks if c.is_sampled}
        self.num_running.append(self.scheduler.num_running)
        self.num_copied += sum(copy.num_tokens for copy in plan.copies)
        self.num_prefilled += plan.num_prefilled
        finished = self.scheduler.commit(plan, sampled, now_s=self.now_s)
        self.scheduler.budget.observe(
            step_s, num_decoding=plan.num_decoding, num_prefilled=plan.num_prefilled
        )
        for each in finished:
            del self.lengths[each]
        return len(finished)

    def token(self, sequence: Sequence) -> int:
        return EOS if len(sequence.output_ids) + 1 >= self.lengths[sequence] else WORD

    def step_s(self, plan: StepPlan) -> float:
        card = self.card
        num_rows = plan.num_decoding + plan.num_prefilled
        read = sum(chunk.stop for chunk in plan.chunks[: plan.num_decoding])
        copied = 2 * sum(copy.num_tokens for copy in plan.copies)
        compute_s = num_rows * 2 * NUM_PARAMETERS / card.flop_per_s
        num_audio = sum(job.prefix.window_tokens[job.index] for job in plan.windows)
        encode_s = num_audio / WINDOW_TOKENS * WINDOW_FLOP / card.flop_per_s
        forward_s = max(WEIGHT_BYTES / card.bytes_per_s, compute_s)
        moved_s = (read + copied) * KV_TOKEN_BYTES / card.bytes_per_s
        return OVERHEAD_S + forward_s + moved_s + encode_s


def measure(run: Run, num_finished: int) -> dict[str, float]:
    """Return figures of the requests after the first third of them."""
    done = 0
    while done < num_finished // 2:
        done += run.step()
    started_s, preempted = run.now_s, run.scheduler.num_preemptions
    copied, prefilled, first = run.num_copied, run.num_prefilled, len(run.num_running)
    done = 0
    while done < num_finished:
        done += run.step()
    return {
        "per_s": done / (run.now_s - started_s),
        "running": sum(run.num_running[first:]) / (len(run.num_running) - first),
        "preempted": (run.scheduler.num_preemptions - preempted) / done,
        "copied": (run.num_copied - copied) / done,
        "prefilled": (run.num_prefilled - prefilled) / done,
    }


def policies(given: argparse.Namespace) -> dict[str, GrowthPolicy]:
    if not given.sweep:
        return {"max_tokens": FullReservation(spare_share=0.0), "growing": GrowthPolicy()}
    swept: dict[str, GrowthPolicy] = {"max_tokens": FullReservation(spare_share=0.0)}
    for quantile in given.quantiles:
        for growth in given.growths:
            for spare in given.spares:
                policy = GrowthPolicy(quantile=quantile, growth=growth, spare_share=spare)
                swept[f"q {quantile}, x {growth}, {spare:.0%} spare"] = policy
    return swept


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cards", default=",".join(CARDS))
    parser.add_argument("--clips", default=",".join(CLIPS_S | MIXED))
    parser.add_argument("--outputs", default="geometric,lognormal")
    parser.add_argument("--finished", type=int, default=400)
    parser.add_argument("--max-num-seqs", type=int, default=256)
    parser.add_argument("--no-compaction", action="store_false", dest="compaction")
    parser.add_argument("--sweep", action="store_true", help="try variants of the policy")
    parser.add_argument("--quantiles", type=float, nargs="*", default=[0.5, 0.75, 0.9])
    parser.add_argument("--growths", type=float, nargs="*", default=[0.5])
    parser.add_argument("--spares", type=float, nargs="*", default=[0.0, 0.02, 0.05])
    given = parser.parse_args()
    print("| card | clips | outputs | reserved | running | captions/s | x | preempted | copied |")
    print("| --- | --- | --- | --- | ---: | ---: | ---: | ---: | ---: |", flush=True)
    for card in given.cards.split(","):
        for clips in given.clips.split(","):
            for outputs in given.outputs.split(","):
                compare(given, CARDS[card], clips, outputs)


def compare(given: argparse.Namespace, card: Card, clips: str, outputs: str) -> None:
    base = None
    for name, policy in policies(given).items():
        is_compacted = given.compaction and not isinstance(policy, FullReservation)
        clips_s = (CLIPS_S | MIXED)[clips]
        run = Run(card, clips_s, outputs, replace(policy), given.max_num_seqs, is_compacted)
        figures = measure(run, given.finished)
        base = base or figures["per_s"]
        cells = [card.name, clips, outputs, name, f"{figures['running']:.0f}"]
        cells += [f"{figures['per_s']:.2f}", f"{figures['per_s'] / base:.2f}"]
        cells += [f"{figures['preempted']:.3f}", f"{figures['copied']:.0f}"]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
