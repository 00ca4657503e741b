"""A question about a clip → the answer's words, as they come.

The handler that chat, captions and analysis share: read the clip, build the
prompt, hold the work, speak.
"""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field, replace

from flamingo_common.errors import BadRequest
from flamingo_common.service import traces
from flamingo_common.wire import requests
from flamingo_common.wire.responses import FinishReason, PromptTokensDetails, RequestMetrics, Usage
from flamingo_pod.api.clip_intake import PreparedClip, audio_usage
from flamingo_pod.caller import ANONYMOUS, Caller
from flamingo_pod.engine.core import Prompt
from flamingo_pod.engine.grammar import Grammar, GrammarSpec
from flamingo_pod.engine.request_stats import RequestStats
from flamingo_pod.engine.sequence import SamplingParams, TokenOutput
from flamingo_pod.model.limits import ModelLimits
from flamingo_pod.pod import Pod
from flamingo_pod.served_model import ServedModel
from flamingo_pod.telemetry.metrics import Metrics
from flamingo_pod.text import prompt
from flamingo_pod.text.detokenize import Detokenizer

OFF_LOOP_CHARS = 4096
"""Making tokens of so much text takes over a millisecond and leaves the event loop."""


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """All that decides an answer, checked and counted; nothing is computed yet."""

    token_ids: Sequence[int]
    clip: PreparedClip | None
    params: SamplingParams
    stop_strings: Sequence[str]
    num_choices: int = 1
    grammar: Grammar | None = None
    stats: RequestStats = field(default_factory=RequestStats)
    caller: Caller = ANONYMOUS

    def asks(self) -> list[tuple[Prompt, SamplingParams]]:
        """Return what each choice asks of the engine: the same, but for seed and grammar."""
        audio, seed = self.clip.audio if self.clip else None, self.params.seed
        return [
            (
                Prompt(
                    self.token_ids,
                    audio,
                    self.caller.salt,
                    deadline_s=self.caller.deadline_s,
                    grammar=self.grammar and self.grammar.fork(),
                    stats=self.stats,
                ),
                replace(self.params, seed=None if seed is None else seed + number),
            )
            for number in range(self.num_choices)
        ]


@dataclass(frozen=True, slots=True)
class ChoiceDelta:
    """What one choice says next."""

    index: int
    text: str
    steps: Sequence[TokenOutput] = ()
    """The tokens that said it, where log-probabilities were asked for."""
    finish_reason: FinishReason | None = None
    """Only in the choice's last piece."""


@dataclass(slots=True)
class GeneratedChoice:
    """What one choice has said so far."""

    index: int
    detokenizer: Detokenizer
    num_tokens: int = 0
    num_cached: int = 0
    """Prompt tokens that needed no computing."""
    finish_reason: FinishReason = "length"
    _steps: list[TokenOutput] = field(default_factory=list)
    """Said, but not yet shown."""

    def take(self, step: TokenOutput) -> ChoiceDelta | None:
        """Return what the step lets be shown, if it is anything."""
        self.num_cached = max(self.num_cached, step.num_cached_tokens)
        if step.logprob is not None:
            self._steps.append(step)
        text = self._text(step)
        reason = "stop" if self.detokenizer.is_stopped else step.finish_reason
        self.finish_reason = reason or self.finish_reason
        if not (text or reason):
            return None
        steps, self._steps = self._steps, []
        return ChoiceDelta(self.index, text, steps, reason)

    def _text(self, step: TokenOutput) -> str:
        text = ""
        if step.token_id is not None:
            self.num_tokens += 1
            text = self.detokenizer.push(step.token_id)
        return text if step.finish_reason is None else text + self.detokenizer.finish()


@dataclass(slots=True)
class Generation:
    """What has been said so far."""

    question: GenerationRequest
    choices: Sequence[GeneratedChoice]

    @property
    def finish_reason(self) -> FinishReason:
        """Why the first choice ended."""
        return self.choices[0].finish_reason

    @property
    def num_tokens(self) -> int:
        """Tokens said, by all choices."""
        return sum(choice.num_tokens for choice in self.choices)

    @property
    def usage(self) -> Usage:
        """What the answer took: the prompt was read once, whatever the number of choices."""
        num_prompt, clip = len(self.question.token_ids), self.question.clip
        num_audio = clip.num_tokens if clip else 0
        return Usage(
            prompt_tokens=num_prompt,
            completion_tokens=self.num_tokens,
            total_tokens=num_prompt + self.num_tokens,
            prompt_tokens_details=PromptTokensDetails(
                audio_tokens=num_audio,
                text_tokens=num_prompt - num_audio,
                # What a choice has from its neighbour was computed for this answer.
                cached_tokens=min(choice.num_cached for choice in self.choices),
            ),
            **audio_usage([clip.length] if clip else []),
        )


def request_metrics(answer: Generation) -> RequestMetrics | None:
    """Return how long a finished answer took, where that was asked for."""
    stats = answer.question.stats
    first_s, decode_s = stats.time_to_first_token_s, stats.decode_s
    if not stats.wants_metrics or first_s is None or decode_s is None:
        return None
    num_gaps = answer.num_tokens - len(answer.choices)
    is_timed = num_gaps > 0 and decode_s > 0
    return RequestMetrics(
        time_to_first_token_ms=_ms(first_s),
        queue_time_ms=_ms(stats.queue_s or 0.0),
        generation_time_ms=_ms(decode_s),
        mean_itl_ms=_ms(decode_s * len(answer.choices) / num_gaps) if is_timed else None,
        tokens_per_second=round(answer.num_tokens / (first_s + decode_s), 2) if is_timed else None,
        audio_decode_ms=_ms(stats.audio_decode_s),
        compute_ms=_ms(stats.compute_s),
    )


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)


async def prepare(
    served: ServedModel,
    turns: Sequence[prompt.Turn],
    clip: PreparedClip | None,
    asked: requests.GenerationOptions,
    stats: RequestStats,
) -> Generation:
    """Return the answer, nothing said yet; or refuse the question before any work.

    Raises:
        BadRequest, ContextTooLong: see `prompt`; a token that the model does not have.
        BadRequest, Unavailable: see `GrammarCompiler.compile`.
    """
    loaded = served.checkpoint
    ids = await _token_ids(served, turns, clip.num_tokens if clip else 0)
    wanted, wanted_in = _asked_tokens(asked)
    max_tokens = prompt.resolve_max_tokens(loaded.limits, len(ids), wanted, field=wanted_in)
    _check_biases(asked, loaded.model.config.text_config.vocab_size)
    params = _params(loaded.limits, asked, max_tokens)
    num_choices = (asked.n or 1) if isinstance(asked, requests.ChatRequest) else 1
    grammar = await _grammar(served, asked.response_format)
    _expect(stats, ids, clip, num_choices, max_tokens)
    question = GenerationRequest(
        ids, clip, params, asked.stop or (), num_choices, grammar, stats, served.caller
    )
    tokenizer = loaded.processor.tokenizer
    choices = [
        GeneratedChoice(n, Detokenizer(tokenizer, question.stop_strings))
        for n in range(num_choices)
    ]
    return Generation(question, choices)


async def _token_ids(
    served: ServedModel, turns: Sequence[prompt.Turn], num_audio_tokens: int
) -> Sequence[int]:
    asked = (served.checkpoint.processor, turns, num_audio_tokens)
    if sum(len(turn.text) for turn in turns) < OFF_LOOP_CHARS:
        return prompt.token_ids(*asked)
    return await asyncio.to_thread(prompt.token_ids, *asked)


def log_fields(question: GenerationRequest) -> dict[str, object]:
    """Return what the access line says of a question."""
    seconds = question.clip.seconds if question.clip else 0.0
    return {"audio_s": round(seconds, 3), "prompt_tokens": len(question.token_ids)}


def _expect(
    stats: RequestStats,
    ids: Sequence[int],
    clip: PreparedClip | None,
    num_choices: int,
    max_tokens: int,
) -> None:
    stats.num_choices = num_choices
    stats.num_windows_left = clip.num_windows if clip else 0
    stats.num_prompt_tokens = stats.num_prompt_tokens_left = len(ids)
    stats.num_output_tokens_left = num_choices * max_tokens


def _asked_tokens(asked: requests.GenerationOptions) -> tuple[int | None, str]:
    """Return how many tokens are asked for, and by which field."""
    if isinstance(asked, requests.ChatRequest) and asked.max_completion_tokens:
        return asked.max_completion_tokens, "max_completion_tokens"
    return asked.max_tokens, "max_tokens"


def _check_biases(asked: requests.GenerationOptions, vocabulary_size: int) -> None:
    for token_id in asked.logit_bias or ():
        if token_id >= vocabulary_size:
            raise BadRequest(
                f"the model has no token {token_id}; its last is {vocabulary_size - 1}",
                param="logit_bias",
            )


def _params(
    limits: ModelLimits, asked: requests.GenerationOptions, max_tokens: int
) -> SamplingParams:
    temperature, penalty = asked.temperature, asked.repetition_penalty
    return SamplingParams(
        max_tokens=max_tokens,
        temperature=limits.default_temperature if temperature is None else temperature,
        top_p=limits.default_top_p if asked.top_p is None else asked.top_p,
        top_k=limits.default_top_k if asked.top_k is None else asked.top_k,
        min_p=asked.min_p,
        seed=asked.seed,
        repetition_penalty=limits.default_repetition_penalty if penalty is None else penalty,
        frequency_penalty=asked.frequency_penalty or 0.0,
        presence_penalty=asked.presence_penalty or 0.0,
        logit_bias=asked.logit_bias or {},
        num_logprobs=_num_logprobs(asked),
    )


def _num_logprobs(asked: requests.GenerationOptions) -> int | None:
    if not isinstance(asked, requests.ChatRequest) or not asked.logprobs:
        return None
    return asked.top_logprobs or 0


async def _grammar(served: ServedModel, wanted: requests.ResponseFormat | None) -> Grammar | None:
    if wanted is None or wanted.type == "text":
        return None
    # A schema may be as long as a body, until the grammar counts it.
    return await served.engine.compile(await asyncio.to_thread(_spec, wanted))


def _spec(wanted: requests.ResponseFormat) -> GrammarSpec:
    if wanted.json_schema is None or wanted.type == "json_object":
        return GrammarSpec("json_object")
    return GrammarSpec("json_schema", json.dumps(wanted.json_schema.schema_))


async def generate(
    pod: Pod, served: ServedModel, answer: Generation
) -> AsyncGenerator[ChoiceDelta, None]:
    """Yield the answer as it comes, and fill `answer`; closing it stop_strings the engine.

    The choices come interleaved; the first fault in one ends all.
    """
    question, engine, started_s = answer.question, served.engine, time.monotonic()
    said_s: dict[int, float] = {}
    with engine.load.in_flight(question.stats), engine.generate_many(question.asks()) as steps:
        async for number, step in steps:
            _time(pod.metrics, said_s, number, started_s)
            with pod.metrics.detokenizing():
                piece = answer.choices[number].take(step)
            if piece is not None:
                if piece.finish_reason is not None:
                    steps.cancel(number)  # a stop string is not the engine's business
                yield piece
    _count(pod.metrics, answer)


def _time(metrics: Metrics, said_s: dict[int, float], number: int, started_s: float) -> None:
    """Time the step of a choice from the one before, and the first of all from the start."""
    now_s = time.monotonic()
    if not said_s:
        exemplar = traces.current_span().exemplar
        metrics.first_token.observe(now_s - started_s, exemplar=exemplar)
    elif number in said_s:
        metrics.gap.observe(now_s - said_s[number])
    said_s[number] = now_s


def _count(metrics: Metrics, answer: Generation) -> None:
    usage, stats = answer.usage, answer.question.stats
    details = usage.prompt_tokens_details
    metrics.tokens.labels("audio").inc(details.audio_tokens)
    metrics.tokens.labels("text").inc(details.text_tokens)
    metrics.tokens.labels("cached").inc(details.cached_tokens)
    metrics.tokens.labels("output").inc(usage.completion_tokens)
    metrics.prompt_tokens.observe(usage.prompt_tokens)
    metrics.output_tokens.observe(usage.completion_tokens)
    stats.num_cached_tokens = details.cached_tokens
    stats.finish_reasons = tuple(choice.finish_reason for choice in answer.choices)
    for reason in stats.finish_reasons:
        metrics.choices.labels(reason).inc()
