"""A question about a clip → the answer's words, as they come.

The story that chat, captions and analysis share: read the clip, build the
prompt, hold the work, speak.
"""

import contextlib
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from flamingo.wire import requests
from flamingo.wire.responses import FinishReason, PromptTokensDetails, Usage
from flamingo_pod import prompt
from flamingo_pod.clip import Clip
from flamingo_pod.detokenize import Detokenizer
from flamingo_pod.engine.engine import Prompt
from flamingo_pod.engine.load import Work
from flamingo_pod.engine.sequence import SamplingParams, Step
from flamingo_pod.model.limits import Limits
from flamingo_pod.pod import Pod, Served


@dataclass(frozen=True, slots=True)
class Question:
    """All that decides an answer, checked and counted; nothing is computed yet."""

    token_ids: Sequence[int]
    clip: Clip | None
    params: SamplingParams
    stops: Sequence[str]

    @property
    def work(self) -> Work:
        """What the engine will have to do."""
        return Work(self.clip.num_windows if self.clip else 0, self.params.max_tokens)


@dataclass(slots=True)
class Answer:
    """What has been said so far."""

    question: Question
    num_tokens: int = 0
    num_cached: int = 0
    """Prompt tokens that needed no computing."""
    finish_reason: FinishReason = "length"

    @property
    def usage(self) -> Usage:
        """What the answer took."""
        num_prompt, clip = len(self.question.token_ids), self.question.clip
        num_audio = clip.num_tokens if clip else 0
        return Usage(
            prompt_tokens=num_prompt,
            completion_tokens=self.num_tokens,
            total_tokens=num_prompt + self.num_tokens,
            prompt_tokens_details=PromptTokensDetails(
                audio_tokens=num_audio,
                text_tokens=num_prompt - num_audio,
                cached_tokens=self.num_cached,
            ),
            audio_seconds=round(clip.seconds, 3) if clip else 0.0,
        )


def ask(
    served: Served, turns: Sequence[prompt.Turn], clip: Clip | None, asked: requests.Sampling
) -> Question:
    """Return the question, or refuse it before any work.

    Raises:
        BadRequest, ContextTooLong: see `prompt`.
    """
    loaded = served.checkpoint
    ids = prompt.token_ids(loaded.processor, turns, clip.num_tokens if clip else 0)
    max_tokens = prompt.max_tokens(loaded.limits, len(ids), _asked_tokens(asked))
    return Question(ids, clip, _params(loaded.limits, asked, max_tokens), asked.stop or ())


def facts(question: Question) -> dict[str, object]:
    """Return what the access line says of a question."""
    seconds = question.clip.seconds if question.clip else 0.0
    return {"audio_s": round(seconds, 3), "prompt_tokens": len(question.token_ids)}


def _asked_tokens(asked: requests.Sampling) -> int | None:
    newer = asked.max_completion_tokens if isinstance(asked, requests.ChatRequest) else None
    return newer or asked.max_tokens


def _params(limits: Limits, asked: requests.Sampling, max_tokens: int) -> SamplingParams:
    temperature = asked.temperature
    return SamplingParams(
        max_tokens=max_tokens,
        temperature=limits.default_temperature if temperature is None else temperature,
        top_p=limits.default_top_p if asked.top_p is None else asked.top_p,
        top_k=limits.default_top_k if asked.top_k is None else asked.top_k,
        min_p=asked.min_p,
        seed=asked.seed,
    )


async def speak(pod: Pod, served: Served, answer: Answer) -> AsyncGenerator[str, None]:
    """Yield the answer's text as it comes, and fill `answer`; closing it stops the engine."""
    question, started_s = answer.question, time.monotonic()
    detokenizer = Detokenizer(served.checkpoint.processor.tokenizer, question.stops)
    audio = question.clip.audio if question.clip else None
    with served.engine.load.holding(question.work):
        steps = served.engine.submit(Prompt(question.token_ids, audio), question.params)
        async with contextlib.aclosing(steps):
            async for step in steps:
                if answer.num_tokens == 0:
                    pod.metrics.first_token.observe(time.monotonic() - started_s)
                if text := _take(answer, detokenizer, step):
                    yield text
                if detokenizer.is_stopped:
                    break
    _count(pod, answer.usage)


def _take(answer: Answer, detokenizer: Detokenizer, step: Step) -> str:
    text = ""
    answer.num_cached = max(answer.num_cached, step.num_reused)
    if step.token_id is not None:
        answer.num_tokens += 1
        text = detokenizer.push(step.token_id)
    if step.finish_reason is not None:
        text += detokenizer.finish()
    answer.finish_reason = "stop" if detokenizer.is_stopped else step.finish_reason or "length"
    return text


def _count(pod: Pod, usage: Usage) -> None:
    details = usage.prompt_tokens_details
    pod.metrics.tokens.labels("audio").inc(details.audio_tokens)
    pod.metrics.tokens.labels("text").inc(details.text_tokens)
    pod.metrics.tokens.labels("cached").inc(details.cached_tokens)
    pod.metrics.tokens.labels("output").inc(usage.completion_tokens)
