"""Options of how tokens are chosen and where the answer ends, which all routes for text share.

Pure.
"""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Strict

from flamingo_common.wire.clip_options import ClipOptions
from flamingo_common.wire.request_body import WHOLE_NUMBER

MAX_STOPS = 4
MAX_STOP_TOKENS = 128
MAX_OUTPUT_TOKENS = 32_768
MAX_BIASES = 300
MAX_TEMPERATURE = 2
MAX_TOKEN_ID_DIGITS = 9

StopSequence = Annotated[str, Field(min_length=1, max_length=256)]
TokenId = Annotated[int, Field(ge=0, lt=10**MAX_TOKEN_ID_DIGITS), WHOLE_NUMBER]
StopText = Annotated[str, Field(max_length=256)]
StopTexts = Annotated[list[StopText], Field(max_length=MAX_STOPS)]
StopList = Annotated[list[StopSequence], Field(max_length=MAX_STOPS)]
Seed = Annotated[int, Field(ge=-(2**63), lt=2**63), WHOLE_NUMBER]
OutputTokens = Annotated[int, Field(ge=1, le=MAX_OUTPUT_TOKENS), WHOLE_NUMBER]


def _check_token_ids(value: object) -> object:
    """Reject keys that are not token ids with one message, which repeats none of them."""
    if isinstance(value, dict) and not all(_is_token_id(str(key)) for key in value):
        raise ValueError("each key must be a token id: up to 9 digits, as a string")
    return value


def _is_token_id(key: str) -> bool:
    return key.isascii() and key.isdecimal() and len(key) <= MAX_TOKEN_ID_DIGITS


def _to_list(value: object) -> object:
    """Return one stop sequence as a list, and a list without empty ones, which stop nothing."""
    if isinstance(value, str):
        value = [value]
    return [each for each in value if each != ""] if isinstance(value, list) else value


class TokenOptions(BaseModel):
    """How the tokens of one answer are chosen. An unset option has the checkpoint's default."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    temperature: Annotated[float, Field(ge=0, le=MAX_TEMPERATURE)] | None = None
    """Sampling temperature; 0 is greedy decoding."""
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    """Sample from the most likely tokens whose probabilities add up to `top_p`; 0 is greedy."""
    top_k: Annotated[int, Field(ge=-1, lt=2**31), WHOLE_NUMBER] | None = None
    """Sample from the `top_k` most likely tokens; 0 and -1 are off."""
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    """Exclude tokens less likely than `min_p` times the most likely one."""
    repetition_penalty: Annotated[float, Field(gt=0, le=10)] | None = None
    """Penalty on tokens of the prompt and of the generated text; 1 is off."""
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    """Penalty on each occurrence of a token in the generated text; 0 is off."""
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    """Penalty on tokens that occur in the generated text; 0 is off."""
    logit_bias: (
        Annotated[
            dict[Annotated[int, Strict(strict=False)], Annotated[float, Field(ge=-100, le=100)]],
            Field(
                max_length=MAX_BIASES,
                json_schema_extra={"propertyNames": {"pattern": "^[0-9]{1,9}$"}},
            ),
            BeforeValidator(_check_token_ids),
        ]
        | None
    ) = None
    """Bias added to the logits, by token id (a string of digits)."""
    seed: Seed | None = None
    """Seed of the random number generator, for reproducible sampling; -1: none, as in vLLM."""
    stop: Annotated[
        StopList | None,
        BeforeValidator(_to_list, json_schema_input_type=StopText | StopTexts | None),
    ] = None
    """Up to 4 strings that end the generation; they are not part of the text."""
    stop_token_ids: Annotated[list[TokenId], Field(max_length=MAX_STOP_TOKENS)] | None = None
    """Token ids that end the generation; they are not part of the text."""
    include_stop_str_in_output: bool | None = None
    """End the text with the string or token that stopped it, rather than before it."""
    min_tokens: Annotated[int, Field(ge=0, le=MAX_OUTPUT_TOKENS), WHOLE_NUMBER] | None = None
    """Minimum number of tokens to generate, before which nothing of the above ends the text."""
    thinking_token_budget: (
        Annotated[int, Field(ge=-1, le=MAX_OUTPUT_TOKENS), WHOLE_NUMBER] | None
    ) = None
    """Maximum number of tokens of reasoning, of a model that thinks before it answers: then it is
    made to answer. 0: none; -1: no maximum."""
    ignore_eos: bool | None = None
    """Continue after the model has ended the text, up to `max_tokens`."""


class SamplingOptions(ClipOptions, TokenOptions):
    """Options of a request that generates text."""

    stream: bool | None = None
    """Stream the response as server-sent events while it is generated."""
