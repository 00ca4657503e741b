"""Generate text about a clip: shared by chat, captions and analysis.

`prepare` checks and tokenizes a request before any work is done; `generate` runs it on the engine
and yields the text as it is generated.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field, replace

from flamingo_common.audio import length_classes
from flamingo_common.errors import BadRequest
from flamingo_common.service import traces
from flamingo_common.wire import requests
from flamingo_common.wire.responses import (
    CompletionTokensDetails,
    FinishReason,
    PromptTokensDetails,
    RequestMetrics,
    Usage,
)
from flamingo_common.wire.tools import Call
from flamingo_pod.api.generation import (
    answer_grammar,
    output_format,
    request_timings,
    thinking,
    tool_calls,
)
from flamingo_pod.api.generation.answer_grammar import AnswerRules
from flamingo_pod.api.generation.generated_choice import ChoiceDelta, GeneratedChoice
from flamingo_pod.api.request.clip_intake import PreparedClip, audio_usage
from flamingo_pod.caller import ANONYMOUS, Caller
from flamingo_pod.engine.core import Prompt
from flamingo_pod.engine.costs.request_stats import RequestStats
from flamingo_pod.engine.scheduling.sequence import SamplingParams
from flamingo_pod.engine.structured_output.constraint import ReasoningRules
from flamingo_pod.model.limits import ModelLimits
from flamingo_pod.pod import Pod
from flamingo_pod.served_model import ServedModel
from flamingo_pod.telemetry.metrics import Metrics
from flamingo_pod.text import byte_level, prompt
from flamingo_pod.text.detokenize import Detokenizer

PROMPT = "prompt"
"""The field of a caption's prompt, and of a form's question."""
NO_SEED = -1
"""As in vLLM; other negative seeds are seeds."""
TOP_K_OFF = (0, -1)
OFF_LOOP_CHARS = 4096
"""Tokenizing more than this takes over a millisecond, and is done off the event loop."""


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """A validated and tokenized request to the engine."""

    token_ids: prompt.TokenIds
    clip: PreparedClip | None
    params: SamplingParams
    stop_strings: Sequence[str]
    num_choices: int = 1
    rules: AnswerRules = field(default_factory=AnswerRules)
    stats: RequestStats = field(default_factory=RequestStats)
    caller: Caller = ANONYMOUS
    reasoning: ReasoningRules | None = None

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
                    grammar=self.rules.grammar and self.rules.grammar.fork(),
                    reasoning=self.reasoning,
                    calls=self.rules.calls,
                    stats=self.stats,
                ),
                replace(self.params, seed=None if seed is None else seed + number),
            )
            for number in range(self.num_choices)
        ]


@dataclass(slots=True)
class Generation:
    """A request and its choices, as generated so far."""

    request: GenerationRequest
    choices: Sequence[GeneratedChoice]
    call: Call | None = None
    """The call that each choice is, or may have."""

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
        num_reasoning = sum(choice.num_reasoning_tokens for choice in self.choices)
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
            completion_tokens_details=CompletionTokensDetails(reasoning_tokens=num_reasoning)
            if num_reasoning
            else None,
            **audio_usage([clip.length] if clip else []),
        )


def request_metrics(generation: Generation) -> RequestMetrics | None:
    """Return the timings of a finished generation, if the client requested them."""
    return request_timings.of_request(
        generation.request.stats, generation.num_tokens, len(generation.choices)
    )


def requested_call(served: ServedModel, options: requests.GenerationOptions) -> Call | None:
    """Return the call that the answer has to be, or may have; None: the answer is text.

    Raises:
        BadRequest: as `output_format.requested_call`.
    """
    return output_format.requested_call(options, may_decide=served.call_tokens is not None)


async def prepare(
    served: ServedModel,
    turns: Sequence[prompt.Turn],
    clip: PreparedClip | None,
    options: requests.GenerationOptions,
    stats: RequestStats,
) -> Generation:
    """Return a generation that is validated and tokenized, but not started.

    Raises:
        BadRequest: a control token in the text, an unknown token in `logit_bias` or
            `stop_token_ids`, a minimum above the maximum of tokens, an invalid response format, or
            a budget of reasoning for a model that has none.
        ContextTooLong: prompt and generated tokens exceed the model's context.
        Unavailable: the response format could not be compiled now.
    """
    loaded = served.checkpoint
    call = requested_call(served, options)
    reasoning = thinking.rules(served.reasoning, options, call)
    ids = await _token_ids(served, turns, clip.num_tokens if clip else 0, call)
    requested, field_name = _requested_tokens(options)
    max_tokens = prompt.resolve_max_tokens(
        loaded.limits,
        len(ids),
        requested,
        field=field_name,
        prompt_field=PROMPT if turns[-1].field == PROMPT else "messages",
    )
    _check_min_tokens(options, max_tokens, field_name)
    _check_token_ids(options, loaded.model.config.text_config.vocab_size)
    params = _params(loaded.limits, options, max_tokens)
    num_choices = (options.n or 1) if isinstance(options, requests.ChatRequest) else 1
    rules = await answer_grammar.compiled(served, options, call)
    _set_expected_work(stats, ids, clip, num_choices, max_tokens)
    stops = options.stop or ()
    request = GenerationRequest(
        *(ids, clip, params, stops, num_choices, rules, stats, served.caller, reasoning)
    )
    return Generation(request, _choices(served, request), call)


def _choices(served: ServedModel, request: GenerationRequest) -> list[GeneratedChoice]:
    tokenizer, params = served.checkpoint.processor.tokenizer, request.params
    return [
        GeneratedChoice.create(
            number,
            Detokenizer(
                tokenizer,
                request.stop_strings,
                min_tokens=params.min_tokens,
                is_stop_kept=params.is_stop_token_kept,
            ),
            byte_level.text_bytes(tokenizer),
            is_reasoning=request.reasoning is not None and request.reasoning.tokens.is_open,
        )
        for number in range(request.num_choices)
    ]


async def _token_ids(
    served: ServedModel,
    turns: Sequence[prompt.Turn],
    num_audio_tokens: int,
    call: Call | None,
) -> prompt.TokenIds:
    processor = served.checkpoint.processor
    if call is not None:
        tools = await asyncio.to_thread(tool_calls.described, call)
        turns = prompt.with_tools(processor, turns, tools)
    arguments = (processor, turns, num_audio_tokens, tool_calls.beginning(call))
    if sum(turn.num_chars for turn in turns) < OFF_LOOP_CHARS:
        return prompt.token_ids(*arguments)
    return await asyncio.to_thread(prompt.token_ids, *arguments)


def log_fields(request: GenerationRequest) -> dict[str, object]:
    """Return the access log's fields about a request."""
    seconds = request.clip.seconds if request.clip else 0.0
    return {"audio_s": round(seconds, 3), "prompt_tokens": len(request.token_ids)}


def _set_expected_work(
    stats: RequestStats,
    ids: prompt.TokenIds,
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


def _check_min_tokens(
    options: requests.GenerationOptions, max_tokens: int, field_name: str
) -> None:
    if options.min_tokens and options.min_tokens > max_tokens:
        raise BadRequest(
            f"min_tokens is {options.min_tokens}, but at most {max_tokens} tokens are generated;"
            f" set {field_name} to at least min_tokens",
            param="min_tokens",
        )


def _check_token_ids(options: requests.GenerationOptions, vocabulary_size: int) -> None:
    fields = {
        "logit_bias": list(options.logit_bias or ()),
        "stop_token_ids": options.stop_token_ids or [],
    }
    for name, token_ids in fields.items():
        for number, token_id in enumerate(token_ids):
            if token_id >= vocabulary_size:
                raise BadRequest(
                    f"token id {token_id} does not exist; the model's token ids are 0 to"
                    f" {vocabulary_size - 1}",
                    param=name if name == "logit_bias" else f"{name}[{number}]",
                )


def _params(
    limits: ModelLimits, options: requests.GenerationOptions, max_tokens: int
) -> SamplingParams:
    temperature, penalty = options.temperature, options.repetition_penalty
    return SamplingParams(
        max_tokens=max_tokens,
        temperature=limits.default_temperature if temperature is None else temperature,
        top_p=limits.default_top_p if options.top_p is None else options.top_p,
        top_k=_top_k(limits, options),
        min_p=options.min_p,
        seed=None if options.seed == NO_SEED else options.seed,
        repetition_penalty=limits.default_repetition_penalty if penalty is None else penalty,
        frequency_penalty=options.frequency_penalty or 0.0,
        presence_penalty=options.presence_penalty or 0.0,
        logit_bias=options.logit_bias or {},
        num_logprobs=_num_logprobs(options),
        min_tokens=options.min_tokens or 0,
        stop_token_ids=frozenset(options.stop_token_ids or ()),
        ignore_eos=bool(options.ignore_eos),
        is_stop_token_kept=bool(options.include_stop_str_in_output),
    )


def _top_k(limits: ModelLimits, options: requests.GenerationOptions) -> int | None:
    if options.top_p == 0:
        return 1  # the most likely token alone, even if others have the same score
    top_k = limits.default_top_k if options.top_k is None else options.top_k
    return None if top_k in TOP_K_OFF else top_k


def _num_logprobs(options: requests.GenerationOptions) -> int | None:
    if not isinstance(options, requests.ChatRequest) or not options.logprobs:
        return None
    return options.top_logprobs or 0


async def generate(
    pod: Pod, served: ServedModel, generation: Generation
) -> AsyncGenerator[ChoiceDelta, None]:
    """Run the generation, and yield its text; closing the generator stops the engine.

    The choices come interleaved; an error in one ends all.
    """
    request, engine = generation.request, served.engine
    timer = TokenTimer(pod.metrics, length_classes.clip_length(request.stats.audio_s))
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
    reasons = [choice.finish_reason for choice in generation.choices]
    count(pod.metrics, request.stats, generation.usage, reasons)


class TokenTimer:
    """Observes the time to the first token, and the time between the tokens of each choice."""

    def __init__(self, metrics: Metrics, clip_length: str) -> None:
        self._metrics = metrics
        self._time_to_first_token = metrics.time_to_first_token.labels(clip_length)
        self._started_s = time.monotonic()
        self._last_s: dict[int, float] = {}

    def observe(self, number: int) -> None:
        """Observe a token of choice `number`."""
        now_s = time.monotonic()
        if not self._last_s:
            exemplar = traces.current_span().exemplar
            self._time_to_first_token.observe(now_s - self._started_s, exemplar=exemplar)
        elif number in self._last_s:
            self._metrics.inter_token_latency.observe(now_s - self._last_s[number])
        self._last_s[number] = now_s


def count(
    metrics: Metrics, stats: RequestStats, usage: Usage, reasons: Sequence[FinishReason]
) -> None:
    """Count a request that was answered to its end, in the metrics and in its stats."""
    details = usage.prompt_tokens_details
    metrics.tokens.labels("audio").inc(details.audio_tokens)
    metrics.tokens.labels("text").inc(details.text_tokens)
    metrics.tokens.labels("cached").inc(details.cached_tokens)
    metrics.tokens.labels("output").inc(usage.completion_tokens)
    metrics.prompt_tokens.observe(usage.prompt_tokens)
    metrics.output_tokens.observe(usage.completion_tokens)
    stats.num_cached_tokens = details.cached_tokens
    stats.finish_reasons = tuple(reasons)
    for reason in stats.finish_reasons:
        metrics.choices.labels(reason).inc()
