"""The measurements of `flamingo bench gpu`, each as rows of its table."""

import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from flamingo_common.audio import windows
from flamingo_pod.bench.gpu.engine_runs import TEXT_TOKENS, EngineRuns
from flamingo_pod.bench.gpu.physics import Ceilings, StepCosts
from flamingo_pod.bench.gpu.plan import BenchPlan, amount_within
from flamingo_pod.bench.gpu.results import Row
from flamingo_pod.bench.gpu.stopwatch import timed
from flamingo_pod.engine.encoding.audio import Samples


@dataclass(frozen=True, slots=True)
class Stage:
    """Some rows that are measured together."""

    name: str
    measure: Callable[[], Iterator[Row]]


def rows_of(stages: Iterable[Stage]) -> Iterator[Row]:
    """Yield the rows of all stages; one that raises gets a row with its error."""
    for stage in stages:
        try:
            yield from stage.measure()
        except Exception as error:  # noqa: BLE001 - the other measurements are worth having
            traceback.print_exc()
            text = str(error).partition("\n")[0]
            yield Row.failed(stage.name, f"failed: {type(error).__name__}: {text}")


@dataclass(slots=True)
class Measurements:
    """Measures one engine. What a stage finds tells the next ones how much fits their time."""

    runs: EngineRuns
    costs: StepCosts
    ceilings: Ceilings
    plan: BenchPlan
    _prompt_tokens_per_s: float | None = field(init=False, default=None)
    _windows_per_s: float | None = field(init=False, default=None)
    _step_s: dict[int, float] = field(init=False, default_factory=dict)
    """By the number of rows."""

    @property
    def stages(self) -> Sequence[Stage]:
        """All measurements, in their order."""
        return [
            Stage("plain operations", self._plain),
            Stage("prefill", self._prefill),
            Stage("encoder", self._encoder),
            *(Stage(_step_name(num), partial(self._decode, num)) for num in self.plan.decode_rows),
            *(Stage(_clip_name(s), partial(self._request, s)) for s in self.plan.clips_s),
            Stage("saturated", self._saturated),
        ]

    def _plain(self) -> Iterator[Row]:
        yield Row("copy", self.ceilings.bytes_per_s / 1e9, "GB/s", note="read and written")
        yield Row("matrix product", self.ceilings.flops_per_s / 1e12, "TFLOP/s")

    def _prefill(self) -> Iterator[Row]:
        plan = self.plan
        if shortage := self._shortage(plan.prefill_tokens + 1):
            yield Row.skipped("prefill", shortage)
            return
        one_s = min(self.runs.prefill_s(plan.prefill_tokens, 1) for _ in range(2))
        num = amount_within(plan.limits.prefill_s, one_s, plan.num_prefills)
        prefill_s = self.runs.prefill_s(plan.prefill_tokens, num)
        pace = self._prompt_tokens_per_s = num * plan.prefill_tokens / prefill_s
        flops = num * self.costs.prefill_flops(plan.prefill_tokens)
        share = flops / prefill_s / self.ceilings.flops_per_s
        note = f"{num} prompts of {plan.prefill_tokens}"
        yield Row("prefill", pace, "tokens/s", share, plan.goals.prefill, note)

    def _encoder(self) -> Iterator[Row]:
        plan = self.plan
        one_s = min(self.runs.encode_s(1) for _ in range(2))
        num = amount_within(plan.limits.encoder_s, one_s, plan.num_windows)
        encode_s = self.runs.encode_s(num)
        pace = self._windows_per_s = num / encode_s
        share = pace * self.costs.window_flops() / self.ceilings.flops_per_s
        note = f"{num} windows, with log-mel"
        yield Row("encoder", pace, "windows/s", share, plan.goals.encoder, note)

    def _decode(self, num_rows: int) -> Iterator[Row]:
        plan, name = self.plan, _step_name(num_rows)
        needed = num_rows * (plan.decode_context + plan.decode_output)
        if num_rows > self.runs.max_num_seqs:
            yield Row.skipped(name, f"--max-num-seqs is {self.runs.max_num_seqs} here")
            return
        if shortage := self._shortage(needed):
            yield Row.skipped(name, shortage)
            return
        step_s = self.runs.decode_step_s(num_rows, plan)
        if step_s is None:
            yield Row.skipped(name, f"its prompts took more than {2 * plan.limits.decode_s:g} s")
            return
        self._step_s[num_rows] = step_s
        floor_s = self.ceilings.decode_floor_s(self.costs, num_rows, self._mean_context)
        goal, pace = plan.goals.decode.get(num_rows), f"{num_rows / step_s:,.0f} tokens/s"
        yield Row(name, step_s * 1000, "ms", floor_s / step_s, goal, pace)

    @property
    def _mean_context(self) -> int:
        return self.plan.decode_context + self.plan.num_steps // 2

    def _request(self, clip_s: float) -> Iterator[Row]:
        plan, name = self.plan, _clip_name(clip_s)
        samples = self.runs.clip(clip_s)
        num_prompt = windows.num_tokens(len(samples)) + TEXT_TOKENS
        if shortage := self._shortage(num_prompt + plan.num_output):
            yield Row.skipped(name, shortage)
            return
        limit_s = plan.limits.request_s
        num_output = amount_within(limit_s, self._step_s.get(1, 0.01), plan.num_output)
        request = self.runs.submit(samples, num_output)
        if not self.runs.finish(2 * limit_s):
            yield Row.skipped(name, f"not answered within {2 * limit_s:g} s")
            return
        floor_s = self.ceilings.request_floor_s(
            self.costs,
            num_windows=clip_s / windows.WINDOW_S,
            num_prompt=num_prompt,
            num_output=num_output,
        )
        note = f"{num_output} tokens; the first after {request.first_token_s:.3g} s"
        share = floor_s / request.total_s
        yield Row(name, request.total_s, "s", share, plan.goals.request, note)
        yield self._follow_up(clip_s, samples)

    def _follow_up(self, clip_s: float, samples: Samples) -> Row:
        name, limit_s = f"follow-up, clip of {clip_s:g} s", self.plan.limits.request_s
        again = self.runs.submit(samples, 1)
        if not self.runs.finish(limit_s):
            return Row.skipped(name, f"not answered within {limit_s:g} s")
        return Row(name, again.first_token_s, "s", note="to its first token")

    def _saturated(self) -> Iterator[Row]:
        plan, clip_s = self.plan, float(windows.WINDOW_S)
        num_prompt = windows.num_tokens(int(clip_s * windows.SAMPLE_RATE_HZ)) + TEXT_TOKENS
        if shortage := self._shortage(num_prompt + plan.num_output):
            yield Row.skipped("saturated", shortage)
            return
        limit_s = plan.limits.saturated_s
        num = amount_within(limit_s, self._predicted_caption_s(num_prompt), plan.num_captions)
        clips = [self.runs.clip(clip_s) for _ in range(num)]
        with timed(self.runs.device) as watch:
            requests = [self.runs.submit(samples, plan.num_output) for samples in clips]
            is_done = self.runs.finish(2 * limit_s)
        num_answered = sum(len(each.token_ids) for each in requests) / plan.num_output
        pace = num_answered / watch.elapsed_s
        note = f"{num} clips of {clip_s:g} s at once, {plan.num_output} tokens each"
        note += "" if is_done else f"; ended after {2 * limit_s:g} s"
        share = pace * self.caption_floor_s(num_prompt, min(num, self.runs.max_num_seqs))
        yield Row("saturated", pace, "captions/s", share, plan.goals.saturated, note)
        yield Row("saturated, audio", pace * clip_s, "hours per hour of the device")

    def caption_floor_s(self, num_prompt: int, num_rows: int) -> float:
        """Return the least time of one caption among `num_rows` that decode together."""
        plan, of = self.plan, self.ceilings
        compute_s = self.costs.window_flops() + self.costs.prefill_flops(num_prompt)
        context = num_prompt + plan.num_output // 2
        decode_s = of.decode_floor_s(self.costs, num_rows, context) / num_rows
        return compute_s / of.flops_per_s + plan.num_output * decode_s

    def _predicted_caption_s(self, num_prompt: int) -> float:
        """Return about how long a caption will take, by what the stages before have measured."""
        encode_s = 1 / self._windows_per_s if self._windows_per_s else 0.0
        prefill_s = num_prompt / self._prompt_tokens_per_s if self._prompt_tokens_per_s else 0.0
        num_rows = max(self._step_s, default=1)
        decode_s = self.plan.num_output * self._step_s.get(num_rows, 0.1) / num_rows
        return encode_s + prefill_s + decode_s

    def _shortage(self, num_tokens: int) -> str | None:
        """Return why so many tokens of KV cannot be measured, or None if they fit."""
        capacity = self.runs.kv_cache_tokens
        if num_tokens <= capacity:
            return None
        return f"needs {num_tokens:,} tokens of KV, and {capacity:,} fit"


def _step_name(num_rows: int) -> str:
    return f"decode step of {num_rows}"


def _clip_name(clip_s: float) -> str:
    return f"one clip of {clip_s:g} s"
