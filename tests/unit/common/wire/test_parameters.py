"""The table of parameters is complete, and says what the request types do."""

import typing

import pytest
from openai.types import embedding_create_params
from openai.types.audio import transcription_create_params
from openai.types.chat import completion_create_params

from flamingo_common.errors import UnsupportedParameter
from flamingo_common.wire import (
    analysis,
    parameters,
    parse,
    request_body,
    requests,
    routes,
    sampling_options,
    unknown_parameters,
)
from flamingo_common.wire.ignored_parameters import IgnoredParameters
from flamingo_common.wire.transcriptions_parameters import TRANSCRIPTION

VLLM_CHAT = """
    add_generation_prompt add_special_tokens allowed_token_ids bad_words cache_salt chat_template
    chat_template_kwargs continue_final_message documents echo ec_transfer_params ignore_eos
    include_reasoning include_stop_str_in_output kv_transfer_params length_penalty
    logprob_token_ids media_io_kwargs min_p min_tokens mm_processor_kwargs priority
    prompt_logprobs repetition_detection repetition_penalty request_id return_mm_kwargs
    return_prompt_text return_token_ids return_token_offsets return_tokens_as_token_ids
    routed_experts_prompt_start session_id skip_special_tokens spaces_between_special_tokens
    stop_token_ids stream_interval structured_outputs thinking_token_budget top_k
    truncate_prompt_tokens truncation_side use_beam_search vllm_xargs watermarking
    best_of early_stopping guided_choice guided_decoding_backend guided_grammar guided_json
    guided_json_object guided_regex guided_whitespace_pattern logits_processors structural_tag
    suffix detokenize
"""
"""Fields of ChatCompletionRequest and SamplingParams in vLLM 0.6 to 0.20, without OpenAI's."""
VLLM_TRANSCRIPTIONS = """
    to_language seed frequency_penalty repetition_penalty presence_penalty max_completion_tokens
    top_p top_k min_p temperature vllm_xargs stream_include_usage
    stream_continuous_usage_stats
"""
VLLM_EMBEDDINGS = """
    messages truncate_prompt_tokens truncation_side padding request_id priority mm_processor_kwargs
    cache_salt add_special_tokens add_generation_prompt continue_final_message chat_template
    chat_template_kwargs media_io_kwargs embed_dtype endianness use_activation normalize
"""


def names_of(openai_type):
    return set(typing.get_type_hints(openai_type))


@pytest.mark.parametrize(
    ("table", "names"),
    [
        pytest.param(
            parameters.CHAT,
            names_of(completion_create_params.CompletionCreateParamsNonStreaming)
            | names_of(completion_create_params.CompletionCreateParamsStreaming),
            id="OpenAI's chat",
        ),
        pytest.param(
            parameters.OPENAI_EMBEDDINGS,
            names_of(embedding_create_params.EmbeddingCreateParams),
            id="OpenAI's embeddings",
        ),
        pytest.param(
            TRANSCRIPTION,
            (
                names_of(transcription_create_params.TranscriptionCreateParamsNonStreaming)
                | names_of(transcription_create_params.TranscriptionCreateParamsStreaming)
            )
            - {"file"},
            id="OpenAI's transcriptions",
        ),
        pytest.param(TRANSCRIPTION, set(VLLM_TRANSCRIPTIONS.split()), id="vLLM's transcriptions"),
        pytest.param(parameters.CHAT, set(VLLM_CHAT.split()), id="vLLM's chat"),
        pytest.param(
            parameters.OPENAI_EMBEDDINGS, set(VLLM_EMBEDDINGS.split()), id="vLLM's embeddings"
        ),
    ],
)
def test_every_parameter_of_the_api_is_in_the_table(table, names):
    assert names - set(table) == set()


OF_FILES_AND_BATCHES = {"flamingo_common.wire.files", "flamingo_common.wire.batches"}
"""Whose parameters are all implemented."""

SHARED = (sampling_options.SamplingOptions, requests.GenerationOptions, requests.EmbeddingOptions)
"""Parts of request types, which have no table of their own."""


def request_types(kind=request_body.RequestBody):
    for one in kind.__subclasses__():
        is_of_the_model = one.__module__ not in OF_FILES_AND_BATCHES
        if is_of_the_model and one not in SHARED:
            yield one
        yield from request_types(one)


def names(kind):
    return {field.alias or name for name, field in kind.model_fields.items()}


@pytest.mark.parametrize("kind", dict.fromkeys(request_types()), ids=lambda kind: kind.__name__)
def test_what_is_implemented_is_a_field_of_the_request_type(kind):
    implemented = {row.name for row in kind.table.values() if row.status == "implemented"}
    assert implemented <= names(kind)
    rest = {name: kind.table[name].status for name in names(kind) - implemented}
    assert set(rest.values()) <= {"ignored"}


def test_every_route_has_the_table_of_its_request_type():
    assert {route.path: route.body.table for route in routes.INFERENCE} == unknown_parameters.ROUTES


@pytest.mark.parametrize("kind", dict.fromkeys(request_types()), ids=lambda kind: kind.__name__)
def test_every_row_that_is_not_implemented_has_a_reason(kind):
    for name, row in kind.table.items():
        assert row.name == name
        assert (row.status == "implemented") == (row.reason == ""), name
        assert not row.reason.endswith("."), name


def chat(**fields):
    return {"messages": [{"role": "user", "content": "hi"}]} | fields


def rows(status):
    return [row for row in parameters.CHAT.values() if row.status == status]


@pytest.mark.parametrize("row", rows("ignored"), ids=lambda row: row.name)
def test_an_ignored_parameter_is_accepted(row):
    values = {"metadata": {"album": "Blue"}, "prompt_cache_options": {"ttl": "1h"}}
    values |= {"verbosity": "low", "parallel_tool_calls": True}
    value = values.get(row.name, "a label" if row.name in IgnoredParameters.model_fields else 1)
    parse.validate_request(requests.ChatRequest, chat(**{row.name: value}))
    parse.validate_request(requests.ChatRequest, chat(**{row.name: None}))


@pytest.mark.parametrize("row", rows("refused"), ids=lambda row: row.name)
def test_a_refused_parameter_is_accepted_with_its_harmless_values_only(row):
    for value in (None, *row.harmless):
        parse.validate_request(requests.ChatRequest, chat(**{row.name: value}))
    with pytest.raises(UnsupportedParameter) as caught:
        parse.validate_request(requests.ChatRequest, chat(**{row.name: 7.5}))
    assert caught.value.param == row.name
    assert row.reason in caught.value.message


@pytest.mark.parametrize(
    ("name", "value"),
    [("best_of", True), ("use_beam_search", 0), ("priority", False), ("documents", {})],
)
def test_a_value_of_another_type_is_not_harmless(name, value):
    with pytest.raises(UnsupportedParameter):
        parse.validate_request(requests.ChatRequest, chat(**{name: value}))


@pytest.mark.parametrize("text", ["false", "False", "null"])
def test_in_a_form_the_text_of_a_harmless_value_is_accepted(text):
    fields = chat(use_beam_search=text)
    parse.validate_request(requests.ChatRequest, fields, is_form=True)
    with pytest.raises(UnsupportedParameter):
        parse.validate_request(requests.ChatRequest, fields)


@pytest.mark.parametrize("name", ["n", "logprobs", "top_logprobs"])
@pytest.mark.parametrize("kind", [requests.CaptionRequest, analysis.AnalyzeRequest])
def test_what_only_chats_support_is_refused_elsewhere_by_name(kind, name):
    with pytest.raises(UnsupportedParameter) as caught:
        parse.validate_request(kind, {"audio": {"data": ""}, name: 2})
    assert caught.value.param == name
    assert "/v1/chat/completions" in caught.value.message
