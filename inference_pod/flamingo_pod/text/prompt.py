"""Render a conversation as token ids, with a `<sound>` placeholder for each audio token.

The checkpoint's own chat template renders the text; it puts one `<sound>` before a turn's text,
wherever the audio part was. That placeholder is expanded here, on ids, to as many as the clip has
audio tokens.

Pure: the tokenizer is an argument.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from flamingo_common.errors import BadRequest, ContextTooLong
from flamingo_pod.model.limits import ModelLimits


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation; at most one has the audio."""

    role: str
    text: str
    has_audio: bool = False


class Processor(Protocol):
    """The part of transformers' processor that is used."""

    tokenizer: Any
    audio_token_id: int

    def apply_chat_template(self, conversation: Any, **kwargs: Any) -> str:
        """Render a conversation."""
        ...


def token_ids(processor: Processor, turns: Sequence[Turn], num_audio_tokens: int) -> list[int]:
    """Return the prompt's token ids, including the generation prompt.

    Raises:
        BadRequest: a turn's text contains a control token.
    """
    _reject_control_tokens(processor.tokenizer.all_special_tokens, turns)
    text = processor.apply_chat_template(
        [_message(turn) for turn in turns], add_generation_prompt=True, tokenize=False
    )
    ids = processor.tokenizer(text, add_special_tokens=False)["input_ids"]
    return _expand_audio(processor, ids, num_audio_tokens)


def resolve_max_tokens(
    limits: ModelLimits, num_prompt_tokens: int, requested: int | None, *, field: str = "max_tokens"
) -> int:
    """Return the maximum number of tokens to generate; `field` is where it was requested.

    Raises:
        ContextTooLong: prompt and generated tokens exceed the model's context.
    """
    room = limits.context_tokens - num_prompt_tokens
    num_needed = 1 if requested is None else requested
    if num_needed > room:
        raise ContextTooLong(
            f"the prompt has {num_prompt_tokens} tokens and {num_needed} are to be generated, but"
            f" the model's context length is {limits.context_tokens} tokens",
            param=field if num_prompt_tokens < limits.context_tokens else "messages",
        )
    return min(limits.default_max_tokens, room) if requested is None else requested


def _message(turn: Turn) -> dict[str, Any]:
    text = {"type": "text", "text": turn.text}
    audio = [{"type": "audio"}] if turn.has_audio else []
    return {"role": turn.role, "content": [*audio, text]}


def _reject_control_tokens(control_tokens: Iterable[str], turns: Sequence[Turn]) -> None:
    """Reject control tokens: a typed `<sound>` would be a placeholder that no audio fills."""
    for number, turn in enumerate(turns):
        for token in control_tokens:
            if token in turn.text:
                raise BadRequest(
                    f"the text contains the control token {token!r}; remove it",
                    param=f"messages[{number}].content",
                )


def _expand_audio(processor: Any, ids: Sequence[int], num_audio_tokens: int) -> list[int]:
    """Expand the one `<sound>`, between begin and end tokens where the checkpoint has them."""
    if processor.audio_token_id not in ids:
        return list(ids)
    at = list(ids).index(processor.audio_token_id)
    begin = getattr(processor, "audio_bos_token_id", None)
    end = getattr(processor, "audio_eos_token_id", None)
    run = [processor.audio_token_id] * num_audio_tokens
    before = [] if begin is None else [begin]
    after = [] if end is None else [end]
    return [*ids[:at], *before, *run, *after, *ids[at + 1 :]]
