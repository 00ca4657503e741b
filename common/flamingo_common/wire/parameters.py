"""The table of request parameters: which are implemented, ignored, or refused, and why.

It has every parameter of OpenAI's chat completions and embeddings APIs and of vLLM's
OpenAI-compatible server, at every level of a request, and common ones of other servers.
A parameter that is not in the table is unknown, and a request that has one is refused
(`unknown_parameters.py`). An ignored parameter cannot change the answer. A refused one
could, unless it has one of its `harmless` values, which ask for what this server does
anyway; clients send those as defaults.

The types and limits of implemented parameters are in `requests.py`, those of ignored ones
in `ignored_parameters.py`. `docs/api.md` prints the table.

Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

Api = Literal["OpenAI", "vLLM", "Flamingo", "other"]
Status = Literal["implemented", "ignored", "refused"]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter, in one kind of object."""

    name: str
    api: Api
    status: Status
    reason: str = ""
    """Why it is ignored; or why it is refused, and what to use instead."""
    harmless: tuple[object, ...] = ()
    """Values of a refused parameter that are accepted, besides null."""
    is_of_reasoning: bool = False
    """Whether its harmless values ask for an answer without reasoning, unless they are empty: they
    are the same as a `thinking_token_budget` of 0."""

    def is_harmless(self, value: object) -> bool:
        """Return whether ignoring the parameter with this value changes nothing."""
        # True == 1 in Python, but not in JSON.
        return self.status == "ignored" or any(
            value == one and isinstance(value, bool) == isinstance(one, bool)
            for one in (None, *self.harmless)
        )


Table = Mapping[str, Parameter]


def implemented(api: Api, names: str) -> Table:
    """Return the rows of implemented parameters, from their names."""
    return {name: Parameter(name, api, "implemented") for name in names.split()}


def ignored(api: Api, reasons: Mapping[str, str]) -> Table:
    """Return the rows of ignored parameters, from the reason of each."""
    return {name: Parameter(name, api, "ignored", reason) for name, reason in reasons.items()}


def refused(api: Api, rows: Mapping[str, tuple[str, tuple[object, ...]]]) -> Table:
    """Return the rows of refused parameters, from reason and harmless values of each."""
    return {
        name: Parameter(name, api, "refused", reason, harmless)
        for name, (reason, harmless) in rows.items()
    }


def refused_levels(api: Api, rows: Mapping[str, tuple[str, tuple[object, ...]]]) -> Table:
    """Return the rows of parameters whose harmless values ask for no reasoning."""
    return {name: replace(row, is_of_reasoning=True) for name, row in refused(api, rows).items()}


_USE_LOGIT_BIAS = "use logit_bias to exclude tokens"
_NO_TEMPLATE = "the chat template of the checkpoint is used, and it has no options"
_CACHES = "the caches of API keys are separate: use a key of its own"
_HEADER = "set the request header x-flamingo-priority instead"
_MEDIA = "audio is always decoded to 16 kHz mono as the checkpoint needs it"
_ROUTING = "where a request is computed is decided by the router"
NO_LEVELS = "reasoning has no levels; use thinking_token_budget, of which this can be 0"
_APART = "reasoning is in a field of its own, beside the answer"
_NO_TOOLS = "only /v1/chat/completions calls tools; for JSON of a schema use response_format"
_USE_PENALTIES = "use repetition_penalty, frequency_penalty or presence_penalty"
_USE_FILTERS = "use top_p, top_k or min_p"
_ONE_COPY = "only generated text is returned"

CLIP: Table = implemented("Flamingo", "start end truncate allow_damaged")

GENERATION: Table = {
    **implemented(
        "OpenAI",
        "model max_tokens temperature top_p frequency_penalty presence_penalty logit_bias seed"
        " stop stream response_format",
    ),
    **implemented(
        "vLLM",
        "top_k min_p repetition_penalty stop_token_ids include_stop_str_in_output min_tokens"
        " ignore_eos thinking_token_budget structured_outputs guided_json guided_regex"
        " guided_choice guided_grammar guided_json_object",
    ),
    **CLIP,
    **ignored(
        "OpenAI",
        {
            "user": "a label of the request",
            "safety_identifier": "a label of the request",
            "metadata": "a label of the request",
            "prompt_cache_key": "what was computed for a clip is cached without it",
            "prompt_cache_retention": "what was computed for a clip is cached without it",
            "prompt_cache_options": "what was computed for a clip is cached without it",
            "verbosity": "the model was not trained with it; ask for short answers in the prompt",
            "parallel_tool_calls": "only chats and /v1/responses call tools",
        },
    ),
    **refused(
        "OpenAI",
        {
            "audio": ("the answer is text", ()),
            "modalities": ("the answer is text", ([], ["text"])),
            "moderation": ("answers are not moderated", ()),
            "prediction": ("the whole answer is generated; predictions do not make it faster", ()),
            "service_tier": ("there is one tier; " + _HEADER, ("auto", "default")),
            "store": ("answers are not stored", (False,)),
            "web_search_options": ("the server does not search the web", ()),
            "tools": (_NO_TOOLS, ([],)),
            "functions": (_NO_TOOLS, ([],)),
            "tool_choice": (_NO_TOOLS, ("none", "auto")),
            "function_call": (_NO_TOOLS, ("none", "auto")),
        },
    ),
    **refused_levels("OpenAI", {"reasoning_effort": (NO_LEVELS, ("none",))}),
    **ignored(
        "vLLM",
        {
            "request_id": "a label of the request; the header x-request-id is in logs and answers",
            "session_id": "a label of the request",
            "length_penalty": "applies to beam search only",
            "early_stopping": "applies to beam search only",
            "spaces_between_special_tokens": "special tokens are not part of the text",
            "include_reasoning": _APART,
            "truncation_side": "prompts are not truncated",
            "stream_interval": "a chunk of a stream has the tokens that are ready",
            "return_mm_kwargs": "applies to vLLM's render routes only",
            "guided_decoding_backend": "there is one implementation of structured output",
        },
    ),
    **refused(
        "vLLM",
        {
            "use_beam_search": ("there is no beam search; use n for several choices", (False,)),
            "best_of": ("choices are not ranked; use n, and rank them by logprobs", (1,)),
            "bad_words": (_USE_LOGIT_BIAS, ([],)),
            "allowed_token_ids": ("use structured_outputs, or logit_bias", ()),
            "logits_processors": ("requests cannot bring code; use logit_bias", ([],)),
            "prompt_logprobs": ("only generated tokens have log probabilities: logprobs", ()),
            "logprob_token_ids": ("use top_logprobs", ()),
            "echo": (_ONE_COPY, (False,)),
            "suffix": ("the answer comes after the prompt", ("",)),
            "skip_special_tokens": ("special tokens are never part of the text", (True,)),
            "detokenize": ("the answer is text", (True,)),
            "return_tokens_as_token_ids": ("tokens are text; their ids are not returned", (False,)),
            "return_token_ids": ("token ids are not returned", (False,)),
            "return_token_offsets": ("token offsets are not returned", (False,)),
            "return_prompt_text": (_ONE_COPY, (False,)),
            "routed_experts_prompt_start": ("the model has no experts", (0,)),
            "truncate_prompt_tokens": ("prompts are not truncated; shorten the conversation", ()),
            "add_generation_prompt": ("the model always writes a new message", (True,)),
            "continue_final_message": ("the model always writes a new message", (False,)),
            "add_special_tokens": ("the chat template adds the special tokens", (False,)),
            "documents": ("the chat template has no documents; add them to a message", ([],)),
            "chat_template": (_NO_TEMPLATE, ()),
            "media_io_kwargs": (_MEDIA, ({},)),
            "mm_processor_kwargs": (_MEDIA, ({},)),
            "structural_tag": ("use tools with tool_choice, or structured_outputs.grammar", ()),
            "guided_whitespace_pattern": ("use structured_outputs.disable_any_whitespace", ()),
            "priority": (_HEADER, (0,)),
            "cache_salt": (_CACHES, ()),
            "kv_transfer_params": (_ROUTING, ({},)),
            "ec_transfer_params": (_ROUTING, ({},)),
            "vllm_xargs": ("they are for vLLM's extensions", ({},)),
            "repetition_detection": ("use repetition_penalty or frequency_penalty", ()),
            "watermarking": ("answers are not marked", (False,)),
        },
    ),
    **refused_levels(
        "vLLM", {"chat_template_kwargs": (_NO_TEMPLATE, ({}, {"enable_thinking": False}))}
    ),
    **ignored(
        "other",
        {
            "keep_alive": "the model stays loaded",
            "cache_prompt": "prompts and clips are always cached",
            "separate_reasoning": _APART,
            "stream_reasoning": _APART,
            "mirostat_tau": "applies to mirostat only",
            "mirostat_eta": "applies to mirostat only",
            "rid": "a label of the request; the header x-request-id is in logs and answers",
            "usage": "the usage is in every answer, and in streams with stream_options",
        },
    ),
    **refused_levels(
        "other",
        {
            "enable_thinking": (NO_LEVELS, (False,)),
            "think": (NO_LEVELS, (False,)),
            "thinking": (NO_LEVELS, (False, {"type": "disabled"})),
            "reasoning": (NO_LEVELS, ({"effort": "none"}, {"enabled": False})),
        },
    ),
    **refused(
        "other",
        {
            "options": ("send what it contains as fields of the request", ({},)),
            "do_sample": ("set temperature to 0 for greedy decoding", (True,)),
            "num_beams": ("there is no beam search; use n for several choices", (1,)),
            "no_repeat_ngram_size": (_USE_PENALTIES, (0,)),
            "dry_multiplier": (_USE_PENALTIES, (0,)),
            "mirostat": (_USE_FILTERS, (0,)),
            "mirostat_mode": (_USE_FILTERS, (0,)),
            "typical_p": (_USE_FILTERS, (1, 0)),
            "tfs_z": (_USE_FILTERS, (1,)),
            "top_a": (_USE_FILTERS, (0,)),
            "xtc_probability": (_USE_FILTERS, (0,)),
            "dynatemp_range": ("use temperature", (0,)),
            "ban_eos_token": ("use ignore_eos", (False,)),
            "no_stop_trim": ("use include_stop_str_in_output", (False,)),
            "return_hidden_states": ("use /v1/audio/embeddings", (False,)),
            "lora_path": ("there are no adapters; each model is served by its own pods", ()),
        },
    ),
}
"""Of chat, captions and analysis alike."""

CHAT: Table = {
    **GENERATION,
    **implemented(
        "OpenAI",
        "messages max_completion_tokens stream_options n logprobs top_logprobs tools tool_choice"
        " parallel_tool_calls functions function_call",
    ),
    **refused(
        "OpenAI",
        {"prompt": ("send messages; prompt is a field of forms and of /v1/audio/captions", ())},
    ),
}
_ONE_ANSWER = "the response has one caption"
CAPTION: Table = {
    **GENERATION,
    **implemented("Flamingo", "audio style prompt"),
    **refused(
        "OpenAI",
        {
            "n": (_ONE_ANSWER + "; use /v1/chat/completions", (1,)),
            "logprobs": ("only /v1/chat/completions returns log probabilities", (False, 0)),
            "top_logprobs": ("only /v1/chat/completions returns log probabilities", (0,)),
        },
    ),
}
ANALYSIS: Table = {
    **CAPTION,
    **implemented("Flamingo", "layer pooling encoding_format questions confidence measure"),
}

_EMBEDDINGS: Table = {
    **implemented("OpenAI", "model encoding_format"),
    **implemented("Flamingo", "layer pooling"),
    **CLIP,
    **ignored("OpenAI", {"user": "a label of the request"}),
    **ignored(
        "vLLM",
        {
            "request_id": "a label of the request; the header x-request-id is in logs and answers",
            "add_special_tokens": "audio has no special tokens",
            "add_generation_prompt": "audio has no prompt",
            "padding": "a clip is encoded in its own length",
            "truncation_side": "the beginning of a clip is used, with truncate",
        },
    ),
    **refused(
        "vLLM",
        {
            "truncate_prompt_tokens": ("use truncate for clips that are too long", ()),
            "continue_final_message": ("audio has no prompt", (False,)),
            "chat_template": ("audio has no prompt", ()),
            "chat_template_kwargs": ("audio has no prompt", ({},)),
            "media_io_kwargs": (_MEDIA, ({},)),
            "mm_processor_kwargs": (_MEDIA, ({},)),
            "priority": (_HEADER, (0,)),
            "cache_salt": (_CACHES, ()),
            "embed_dtype": ("embeddings are float32", ("float32",)),
            "endianness": ("embeddings are little-endian", ("native", "little")),
            "use_activation": ("embeddings are not normalized; divide by the norm", (False,)),
            "normalize": ("embeddings are not normalized; divide by the norm", (False,)),
        },
    ),
}
EMBEDDINGS: Table = {**_EMBEDDINGS, **implemented("Flamingo", "audio")}
OPENAI_EMBEDDINGS: Table = {
    **_EMBEDDINGS,
    **implemented("OpenAI", "input dimensions"),
    **implemented("vLLM", "messages"),
}
