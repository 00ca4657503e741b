"""Turns of a conversation → token ids with a `<sound>` slot for each audio token.

The checkpoint's own chat template writes the text; it puts one `<sound>` before
a turn's words, wherever the audio part stood. The slot is widened here, on ids,
to as many as the clip has tokens.

Pure: the tokenizer is an argument.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from flamingo_common.errors import BadRequest, ContextTooLong
from flamingo_pod.model.limits import ModelLimits


@dataclass(frozen=True, slots=True)
class Turn:
    """Who says what; at most one turn of a conversation has the audio."""

    role: str
    text: str
    has_audio: bool = False


class Processor(Protocol):
    """What of transformers' processor is needed."""

    tokenizer: Any
    audio_token_id: int

    def apply_chat_template(self, conversation: Any, **kwargs: Any) -> str:
        """Render a conversation."""
        ...


def token_ids(processor: Processor, turns: Sequence[Turn], num_audio_tokens: int) -> list[int]:
    """Return the prompt's ids, ready for the answer's first token.

    Raises:
        BadRequest: a turn's text holds a control token.
    """
    _refuse_control_tokens(processor.tokenizer.all_special_tokens, turns)
    text = processor.apply_chat_template(
        [_message(turn) for turn in turns], add_generation_prompt=True, tokenize=False
    )
    ids = processor.tokenizer(text, add_special_tokens=False)["input_ids"]
    return _widen(processor, ids, num_audio_tokens)


def resolve_max_tokens(
    limits: ModelLimits, num_prompt_tokens: int, asked: int | None, *, field: str = "max_tokens"
) -> int:
    """Return how many tokens the answer may have; `field` is where it was asked.

    Raises:
        ContextTooLong: prompt and answer do not fit the model's context.
    """
    room = limits.context_tokens - num_prompt_tokens
    wanted = 1 if asked is None else asked
    if wanted > room:
        raise ContextTooLong(
            f"the prompt has {num_prompt_tokens} tokens and the answer may have {wanted}; "
            f"the model's context holds {limits.context_tokens}",
            param=field if num_prompt_tokens < limits.context_tokens else "messages",
        )
    return min(limits.default_max_tokens, room) if asked is None else asked


def _message(turn: Turn) -> dict[str, Any]:
    text = {"type": "text", "text": turn.text}
    audio = [{"type": "audio"}] if turn.has_audio else []
    return {"role": turn.role, "content": [*audio, text]}


def _refuse_control_tokens(control_tokens: Iterable[str], turns: Sequence[Turn]) -> None:
    """A typed `<sound>` would take a slot that no audio fills, and poison the batch."""
    for number, turn in enumerate(turns):
        for token in control_tokens:
            if token in turn.text:
                raise BadRequest(
                    f"the text holds {token!r}, which the model reads as a command; remove it",
                    param=f"messages[{number}].content",
                )


def _widen(processor: Any, ids: Sequence[int], num_audio_tokens: int) -> list[int]:
    """Replace the one `<sound>` by its bracketed run; older checkpoints have no brackets."""
    if processor.audio_token_id not in ids:
        return list(ids)
    at = list(ids).index(processor.audio_token_id)
    opening = getattr(processor, "audio_bos_token_id", None)
    closing = getattr(processor, "audio_eos_token_id", None)
    run = [processor.audio_token_id] * num_audio_tokens
    brackets = ([] if opening is None else [opening], [] if closing is None else [closing])
    return [*ids[:at], *brackets[0], *run, *brackets[1], *ids[at + 1 :]]
