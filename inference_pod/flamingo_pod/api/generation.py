"""Generate text about a clip: shared by chat, captions and analysis.

`prepare` checks and tokenizes a request before any work is done; `generate` runs it on the engine
and yields the text as it is generated.
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
"""Tokenizing more than this takes over a millisecond, and is done off the event loop."""


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """A validated and tokenized request to the engine."""

    token_ids: Sequence[int]
    clip: PreparedClip | None
    params: SamplingParams
    stop_strings: Sequence[str]
    num_choices: int = 1
    grammar: Grammar | None = None
    stats: RequestStats = field(default_factory=RequestStats)
    caller: Caller = ANONYMOUS

    def engine_requests(self) -> list[tuple[Prompt, SamplingParams]]:
        """Return the engine's requests, one per choice; they differ in seed and grammar state."""
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
    """The next text of one choice."""

    index: int
    text: str
    outputs: Sequence[TokenOutput] = ()
    """The tokens of the text, if log-probabilities were requested."""
    finish_reason: FinishReason | None = None
    """Set in the choice's last delta."""


@dataclass(slots=True)
class GeneratedChoice:
    """One choice, as generated so far."""

    index: int
    detokenizer: Detokenizer
    num_tokens: int = 0
    num_cached: int = 0
    """Prompt tokens taken from the KV cache."""
    finish_reason: FinishReason = "length"
    _pending: list[TokenOutput] = field(default_factory=list)
    """Outputs whose text is not returned yet."""

    def add(self, output: TokenOutput) -> ChoiceDelta | None:
        """Add the next output; return the text that it completes, if any."""
        self.num_cached = max(self.num_cached, output.num_cached_tokens)
        if output.logprob is not None:
            self._pending.append(output)
        text = self._text(output)
        reason = "stop" if self.detokenizer.is_stopped else output.finish_reason
        self.finish_reason = reason or self.finish_reason
        if not (text or reason):
            return None
        outputs, self._pending = self._pending, []
        return ChoiceDelta(self.index, text, outputs, reason)

    def _text(self, output: TokenOutput) -> str:
        text = ""
        if output.token_id is not None:
            self.num_tokens += 1
            text = self.detokenizer.push(output.token_id)
        return text if output.finish_reason is None else text + self.detokenizer.finish()


@dataclass(slots=True)
class Generation:
    """A request and its choices, as generated so far."""

    request: GenerationRequest
    choices: Sequence[GeneratedChoice]

    @property
    def finish_reason(self) -> FinishReason:
        """The first choice's finish reason."""
        return self.choices[0].finish_reason

    @property
    def num_tokens(self) -> int:
        """Generated tokens, all choices together."""
        return sum(choice.num_tokens for choice in self.choices)

    @property
    def usage(self) -> Usage:
        """Token usage; the prompt counts once, whatever the number of choices."""
        num_prompt, clip = len(self.request.token_ids), self.request.clip
        num_audio = clip.num_tokens if clip else 0
        return Usage(
            prompt_tokens=num_prompt,
            completion_tokens=self.num_tokens,
            total_tokens=num_prompt + self.num_tokens,
            prompt_tokens_details=PromptTokensDetails(
                audio_tokens=num_audio,
                text_tokens=num_prompt - num_audio,
                # What one choice takes from another's cache was computed for this request.
                cached_tokens=min(choice.num_cached for choice in self.choices),
            ),
            **audio_usage([clip.length] if clip else []),
        )


def request_metrics(generation: Generation) -> RequestMetrics | None:
    """Return the timings of a finished generation, if the client requested them."""
    stats = generation.request.stats
    first_s, decode_s = stats.time_to_first_token_s, stats.decode_s
    if not stats.wants_metrics or first_s is None or decode_s is None:
        return None
    num_gaps = generation.num_tokens - len(generation.choices)
    is_timed = num_gaps > 0 and decode_s > 0
    return RequestMetrics(
        time_to_first_token_ms=_ms(first_s),
        queue_time_ms=_ms(stats.queue_s or 0.0),
        generation_time_ms=_ms(decode_s),
        mean_itl_ms=_ms(decode_s * len(generation.choices) / num_gaps) if is_timed else None,
        tokens_per_second=round(generation.num_tokens / (first_s + decode_s), 2)
        if is_timed
        else None,
        audio_decode_ms=_ms(stats.audio_decode_s),
        compute_ms=_ms(stats.compute_s),
    )


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)


async def prepare(
    served: ServedModel,
    turns: Sequence[prompt.Turn],
    clip: PreparedClip | None,
    options: requests.GenerationOptions,
    stats: RequestStats,
) -> Generation:
    """Return a generation that is validated and tokenized, but not started.

    Raises:
        BadRequest: a control token in the text, an unknown token in `logit_bias`, or an invalid
            response format.
        ContextTooLong: prompt and generated tokens exceed the model's context.
        Unavailable: the response format could not be compiled now.
    """
    loaded = served.checkpoint
    ids = await _token_ids(served, turns, clip.num_tokens if clip else 0)
    requested, field_name = _requested_tokens(options)
    max_tokens = prompt.resolve_max_tokens(loaded.limits, len(ids), requested, field=field_name)
    _check_biases(options, loaded.model.config.text_config.vocab_size)
    params = _params(loaded.limits, options, max_tokens)
    num_choices = (options.n or 1) if isinstance(options, requests.ChatRequest) else 1
    grammar = await _grammar(served, options.response_format)
    _set_expected_work(stats, ids, clip, num_choices, max_tokens)
    request = GenerationRequest(
        ids, clip, params, options.stop or (), num_choices, grammar, stats, served.caller
    )
    tokenizer = loaded.processor.tokenizer
    choices = [
        GeneratedChoice(n, Detokenizer(tokenizer, request.stop_strings)) for n in range(num_choices)
    ]
    return Generation(request, choices)


async def _token_ids(
    served: ServedModel, turns: Sequence[prompt.Turn], num_audio_tokens: int
) -> Sequence[int]:
    arguments = (served.checkpoint.processor, turns, num_audio_tokens)
    if sum(len(turn.text) for turn in turns) < OFF_LOOP_CHARS:
        return prompt.token_ids(*arguments)
    return await asyncio.to_thread(prompt.token_ids, *arguments)


def log_fields(request: GenerationRequest) -> dict[str, object]:
    """Return the access log's fields about a request."""
    seconds = request.clip.seconds if request.clip else 0.0
    return {"audio_s": round(seconds, 3), "prompt_tokens": len(request.token_ids)}


def _set_expected_work(
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


def _requested_tokens(options: requests.GenerationOptions) -> tuple[int | None, str]:
    """Return the requested maximum of tokens, and the field that set it."""
    if isinstance(options, requests.ChatRequest) and options.max_completion_tokens:
        return options.max_completion_tokens, "max_completion_tokens"
    return options.max_tokens, "max_tokens"


def _check_biases(options: requests.GenerationOptions, vocabulary_size: int) -> None:
    for token_id in options.logit_bias or ():
        if token_id >= vocabulary_size:
            raise BadRequest(
                f"token id {token_id} does not exist; the model's token ids are 0 to"
                f" {vocabulary_size - 1}",
                param="logit_bias",
            )


def _params(
    limits: ModelLimits, options: requests.GenerationOptions, max_tokens: int
) -> SamplingParams:
    temperature, penalty = options.temperature, options.repetition_penalty
    return SamplingParams(
        max_tokens=max_tokens,
        temperature=limits.default_temperature if temperature is None else temperature,
        top_p=limits.default_top_p if options.top_p is None else options.top_p,
        top_k=limits.default_top_k if options.top_k is None else options.top_k,
        min_p=options.min_p,
        seed=options.seed,
        repetition_penalty=limits.default_repetition_penalty if penalty is None else penalty,
        frequency_penalty=options.frequency_penalty or 0.0,
        presence_penalty=options.presence_penalty or 0.0,
        logit_bias=options.logit_bias or {},
        num_logprobs=_num_logprobs(options),
    )


def _num_logprobs(options: requests.GenerationOptions) -> int | None:
    if not isinstance(options, requests.ChatRequest) or not options.logprobs:
        return None
    return options.top_logprobs or 0


async def _grammar(
    served: ServedModel, response_format: requests.ResponseFormat | None
) -> Grammar | None:
    if response_format is None or response_format.type == "text":
        return None
    # In a thread: a schema may be as long as a body, before the grammar checks its size.
    return await served.engine.compile(await asyncio.to_thread(_spec, response_format))


def _spec(response_format: requests.ResponseFormat) -> GrammarSpec:
    if response_format.json_schema is None or response_format.type == "json_object":
        return GrammarSpec("json_object")
    return GrammarSpec("json_schema", json.dumps(response_format.json_schema.schema_))


async def generate(
    pod: Pod, served: ServedModel, generation: Generation
) -> AsyncGenerator[ChoiceDelta, None]:
    """Run the generation, and yield its text; closing the generator stops the engine.

    The choices come interleaved; an error in one ends all.
    """
    request, engine = generation.request, served.engine
    timer = _TokenTimer(pod.metrics)
    with (
        engine.load.in_flight(request.stats),
        engine.generate_many(request.engine_requests()) as outputs,
    ):
        async for number, output in outputs:
            timer.observe(number)
            with pod.metrics.detokenizing():
                delta = generation.choices[number].add(output)
            if delta is not None:
                if delta.finish_reason is not None:
                    outputs.cancel(number)  # the engine does not know about stop strings
                yield delta
    _count(pod.metrics, generation)


class _TokenTimer:
    """Observes the time to the first token, and the time between the tokens of each choice."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._started_s = time.monotonic()
        self._last_s: dict[int, float] = {}

    def observe(self, number: int) -> None:
        """Observe a token of choice `number`."""
        now_s = time.monotonic()
        if not self._last_s:
            exemplar = traces.current_span().exemplar
            self._metrics.time_to_first_token.observe(now_s - self._started_s, exemplar=exemplar)
        elif number in self._last_s:
            self._metrics.inter_token_latency.observe(now_s - self._last_s[number])
        self._last_s[number] = now_s


def _count(metrics: Metrics, generation: Generation) -> None:
    usage, stats = generation.usage, generation.request.stats
    details = usage.prompt_tokens_details
    metrics.tokens.labels("audio").inc(details.audio_tokens)
    metrics.tokens.labels("text").inc(details.text_tokens)
    metrics.tokens.labels("cached").inc(details.cached_tokens)
    metrics.tokens.labels("output").inc(usage.completion_tokens)
    metrics.prompt_tokens.observe(usage.prompt_tokens)
    metrics.output_tokens.observe(usage.completion_tokens)
    stats.num_cached_tokens = details.cached_tokens
    stats.finish_reasons = tuple(choice.finish_reason for choice in generation.choices)
    for reason in stats.finish_reasons:
        metrics.choices.labels(reason).inc()
