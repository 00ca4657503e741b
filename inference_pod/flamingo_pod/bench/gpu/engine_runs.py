"""The engine's steps and requests, timed without a server in front of it."""

import gc
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch

from flamingo_common.audio import windows
from flamingo_pod.bench.gpu.plan import BenchPlan, amount_within
from flamingo_pod.bench.gpu.stopwatch import timed
from flamingo_pod.engine.core import EngineCore, Prompt
from flamingo_pod.engine.costs.request_stats import RequestStats
from flamingo_pod.engine.device.device_memory import release_unused
from flamingo_pod.engine.encoding.audio import ClipAudio, Samples
from flamingo_pod.engine.scheduling.sequence import SamplingParams, Sequence, TokenOutput
from flamingo_pod.engine.startup.sizing import MAX_WINDOWS
from flamingo_pod.model.checkpoint import Checkpoint

TEXT_TOKENS = 60
"""Of instructions and question, as in a usual request."""
FIRST_WORD = 16
"""Ids below are control tokens."""
WARM_STEPS = 3


@dataclass(slots=True)
class TimedRequest:
    """A submitted request; it receives its own outputs."""

    submitted_s: float = field(default_factory=time.perf_counter)
    first_s: float | None = None
    last_s: float | None = None
    token_ids: list[int] = field(default_factory=list)

    def __call__(self, output: TokenOutput | Exception) -> None:
        """Record an output, or raise the error with which the engine ended the request."""
        if isinstance(output, Exception):
            raise output
        self.last_s = time.perf_counter()
        self.first_s = self.first_s or self.last_s
        if output.token_id is not None:
            self.token_ids.append(output.token_id)

    @property
    def first_token_s(self) -> float:
        """Seconds to the first token."""
        assert self.first_s is not None
        return self.first_s - self.submitted_s

    @property
    def total_s(self) -> float:
        """Seconds to the last token."""
        assert self.last_s is not None
        return self.last_s - self.submitted_s


class EngineRuns:
    """Drives one engine core."""

    def __init__(self, loaded: Checkpoint, core: EngineCore) -> None:
        self.core = core
        self.device: torch.device = loaded.model.device
        config = loaded.model.config
        self._audio_id = config.audio_token_id
        self._vocabulary = min(config.text_config.vocab_size, len(loaded.processor.tokenizer))
        self._random = np.random.default_rng(0)
        self._submitted: list[Sequence] = []

    def close(self) -> None:
        """Free the engine's memory on the device; nothing can be run afterwards."""
        del self.core
        gc.collect()  # the recorded steps and what they record refer to each other
        release_unused()

    def words(self, num_tokens: int) -> list[int]:
        """Return random token ids of text."""
        ids: list[int] = self._random.integers(FIRST_WORD, self._vocabulary, num_tokens).tolist()
        return ids

    def clip(self, length_s: float) -> Samples:
        """Return noise."""
        num_samples = int(length_s * windows.SAMPLE_RATE_HZ)
        return self._random.standard_normal(num_samples, dtype=np.float32) * np.float32(0.1)

    @property
    def kv_cache_tokens(self) -> int:
        """Capacity of the KV pool."""
        return self.core.scheduler.limits.kv_cache_tokens

    @property
    def max_num_seqs(self) -> int:
        """Sequences in a batch, at most."""
        return self.core.scheduler.limits.max_num_seqs

    def submit(
        self, samples: Samples | None, num_output: int, text: int = TEXT_TOKENS
    ) -> TimedRequest:
        """Submit a greedy request about a clip, or about text, that ends after `num_output`."""
        audio = None if samples is None else ClipAudio.from_samples(samples)
        slots = [] if audio is None else [self._audio_id] * audio.num_tokens
        return self.submit_prompt(Prompt([*slots, *self.words(text)], audio), num_output)

    def submit_prompt(self, prompt: Prompt, num_output: int) -> TimedRequest:
        """Submit a greedy request that ends after `num_output` tokens."""
        request, params = TimedRequest(), SamplingParams(max_tokens=num_output, ignore_eos=True)
        self._submitted.append(self.core.submit(prompt, params, len(self._submitted), request))
        return request

    def finish(self, limit_s: float = math.inf) -> bool:
        """Run steps until all requests are answered; after `limit_s`, cancel them.

        Return whether all were answered.
        """
        is_done = self._run_while(self.core.has_work, limit_s)
        self._submitted.clear()
        return is_done

    def cancel_all(self) -> None:
        """End all requests."""
        for sequence in self._submitted:
            self.core.cancel(sequence)
        self._submitted.clear()

    def _run_while(self, is_needed: Callable[[], bool], limit_s: float) -> bool:
        stop_s = time.perf_counter() + limit_s
        while is_needed():
            if time.perf_counter() > stop_s:
                self.cancel_all()
                return False
            self.core.step()
        return True

    def decode_step_s(self, num_rows: int, plan: BenchPlan) -> float | None:
        """Return the seconds of a step in which `num_rows` sequences decode, and nothing else.

        None if that takes too long.
        """
        limit_s, started_s = plan.limits.decode_s, time.perf_counter()
        for _ in range(num_rows):
            self.submit(None, plan.decode_output, text=plan.decode_context)
        if not self._run_while(lambda: self._num_decoding() < num_rows, 2 * limit_s):
            return None
        with timed(self.device) as watch:
            self._step(WARM_STEPS)
        left_s = limit_s - (time.perf_counter() - started_s)
        num_steps = amount_within(left_s, watch.elapsed_s / WARM_STEPS, plan.num_steps)
        with timed(self.device) as watch:
            self._step(num_steps)
        self.cancel_all()
        return watch.elapsed_s / num_steps

    def _step(self, num_steps: int) -> None:
        for _ in range(num_steps):
            self.core.step()

    def _num_decoding(self) -> int:
        return sum(bool(one.output_ids) for one in self.core.scheduler.running)

    def prefill_s(self, num_tokens: int, num_prompts: int) -> float:
        """Return the seconds to prefill prompts of text one after the other."""
        with timed(self.device) as watch:
            for _ in range(num_prompts):
                self.submit(None, 1, text=num_tokens)
                self.finish()
        return watch.elapsed_s

    def encode_s(self, num_windows: int) -> float:
        """Return the seconds to encode full windows, from their samples on."""
        audio = ClipAudio.from_samples(self.clip(num_windows * windows.WINDOW_S))
        with timed(self.device) as watch:
            for first in range(0, len(audio.windows), MAX_WINDOWS):
                self.core.embed(
                    audio.windows[first : first + MAX_WINDOWS], RequestStats(), is_projected=False
                )
        return watch.elapsed_s
