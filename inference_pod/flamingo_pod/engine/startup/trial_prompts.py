"""Prompts that make the engine run what users' requests will: for the warm-up and for measuring.

A clip of noise with as many full windows as wanted, a text that fills a chunk of prefill, and short
texts that are sampled in each of the ways that take other kernels.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from flamingo_common.audio import windows
from flamingo_pod.engine.core import Prompt
from flamingo_pod.engine.encoding.audio import ClipAudio
from flamingo_pod.engine.scheduling.sequence import SamplingParams
from flamingo_pod.model.checkpoint import Checkpoint

SAMPLED_TOKENS = 4
"""A prefill, and decoding steps with all of the rows."""
SHORT_TEXT_TOKENS = 2

WAYS_OF_SAMPLING = (
    SamplingParams(SAMPLED_TOKENS, ignore_eos=True),
    SamplingParams(SAMPLED_TOKENS, temperature=1.0, ignore_eos=True),
    SamplingParams(SAMPLED_TOKENS, temperature=0.7, top_p=0.9, ignore_eos=True),
    SamplingParams(SAMPLED_TOKENS, temperature=0.7, top_k=50, min_p=0.05, ignore_eos=True),
    SamplingParams(
        SAMPLED_TOKENS,
        temperature=0.7,
        top_p=0.9,
        repetition_penalty=1.1,
        frequency_penalty=0.1,
        presence_penalty=0.1,
        num_logprobs=20,
        ignore_eos=True,
    ),
)
"""Greedy, unfiltered, by each filter, and with all that is possible at once."""


@dataclass(frozen=True, slots=True)
class TrialPrompts:
    """Prompts for one model; those of another salt share no KV and no encoder states."""

    checkpoint: Checkpoint
    salt: bytes

    def clip(self, seconds: float) -> tuple[Prompt, SamplingParams]:
        """Return a prompt of noise of that length and a token of text, answered greedily."""
        num_samples = int(seconds * windows.SAMPLE_RATE_HZ)
        noise = np.random.default_rng(0).standard_normal(num_samples, np.float32)
        audio = ClipAudio.from_samples(noise * np.float32(0.1), self.salt)
        slots = [self.checkpoint.model.config.audio_token_id] * audio.num_tokens
        ids = [*slots, *self._text_ids(1, first=0)]
        return Prompt(ids, audio, self.salt), WAYS_OF_SAMPLING[0]

    def text(self, num_tokens: int) -> tuple[Prompt, SamplingParams]:
        """Return a prompt of that many tokens of text, which is answered greedily."""
        # It begins unlike the short ones, and so shares nothing with them.
        ids = self._text_ids(num_tokens, first=-num_tokens)
        return Prompt(ids, salt=self.salt), WAYS_OF_SAMPLING[0]

    def rows(self, num_rows: int) -> Iterator[tuple[Prompt, SamplingParams]]:
        """Yield different short prompts, sampled in all ways in turn."""
        for number in range(num_rows):
            ids = self._text_ids(SHORT_TEXT_TOKENS, first=number)
            yield Prompt(ids, salt=self.salt), WAYS_OF_SAMPLING[number % len(WAYS_OF_SAMPLING)]

    def _text_ids(self, num_tokens: int, *, first: int) -> list[int]:
        """Return consecutive ids of the vocabulary, from number `first` on, without `<sound>`."""
        num_ids = self.checkpoint.model.config.text_config.vocab_size
        texts = [
            each for each in range(num_ids) if each != self.checkpoint.model.config.audio_token_id
        ]
        return [texts[(first + k) % len(texts)] for k in range(num_tokens)]
