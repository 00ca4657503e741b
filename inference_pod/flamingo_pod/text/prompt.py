"""Render a conversation as token ids, with a `<sound>` placeholder for each audio token.

The checkpoint's own chat template renders the text; it puts one `<sound>` before a turn's text,
wherever the audio part was. That placeholder is expanded here, on ids, to as many as the clip has
audio tokens.

No text may bring control tokens into the prompt. Texts that spell one out are rejected, and so is
a prompt whose control tokens are not exactly those that the template puts around its turns: a
tokenizer may also find one in what it has normalized, or across the end of a text.

Tools, calls and the results of calls become text of ordinary turns
(`flamingo_pod.text.tool_text`).

Pure: the tokenizer is an argument.
"""

import functools
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from flamingo_common.errors import BadRequest, ContextTooLong
from flamingo_pod.engine.structured_output.reasoning_scan import END, OPEN
from flamingo_pod.model.limits import ModelLimits
from flamingo_pod.text import tool_text
from flamingo_pod.text.control_tokens import ControlTokens, control_tokens

TokenIds = NDArray[np.int32]
"""`(tokens,)`; those of a long clip as a list would take the event loop milliseconds to check."""
SHAPES_KEPT = 64
"""Conversations' shapes whose control tokens are kept."""


@dataclass(frozen=True, slots=True)
class Snippet:
    """JSON about a function, and the request's field that it came from."""

    text: str
    field: str


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation; at most one has the audio."""

    role: str
    """`tool`: the result of a call."""
    text: str
    has_audio: bool = False
    field: str = ""
    """The request's field that the text came from; empty for the content of its message."""
    snippets: tuple[Snippet, ...] = ()
    """The tools of a system message, or the calls of an assistant's."""

    @property
    def num_chars(self) -> int:
        """Characters of the text and the snippets."""
        return len(self.text) + sum(len(snippet.text) for snippet in self.snippets)


class Processor(Protocol):
    """The part of transformers' processor that is used."""

    tokenizer: Any
    audio_token_id: int

    def apply_chat_template(self, conversation: Any, **kwargs: Any) -> str:
        """Render a conversation."""
        ...

    def __hash__(self) -> int:
        """Return a hash of its identity: what is derived from a processor is cached."""
        ...


def with_tools(processor: Processor, turns: Sequence[Turn], tools: Sequence[Snippet]) -> list[Turn]:
    """Return the conversation with tools in its system message."""
    if turns[0].role == "system":
        return [replace(turns[0], snippets=tuple(tools)), *turns[1:]]
    default = Turn("system", _default_system_text(processor), snippets=tuple(tools))
    return [default, *turns]


def token_ids(
    processor: Processor, turns: Sequence[Turn], num_audio_tokens: int, beginning: str = ""
) -> TokenIds:
    """Return the prompt's token ids, including the generation prompt.

    `beginning` is how the answer begins, which the model continues without reasoning.

    Raises:
        BadRequest: a turn's text contains a control token.
    """
    control = control_tokens(processor)
    _reject_spelled_tokens(control, turns)
    ids = _tokenize(processor, turns, beginning)
    shape = tuple(map(_without_text, turns))
    if control.among(ids) != _template_tokens(processor, shape, beginning):
        raise _formed_token(processor.tokenizer, control, turns)
    return expand_audio(processor, ids, num_audio_tokens)


def resolve_max_tokens(
    limits: ModelLimits,
    num_prompt_tokens: int,
    requested: int | None,
    *,
    field: str = "max_tokens",
    prompt_field: str = "messages",
) -> int:
    """Return the maximum number of tokens to generate; `field` is where it was requested.

    `prompt_field` is where the prompt is.

    Raises:
        ContextTooLong: prompt and generated tokens exceed the model's context.
    """
    room = limits.context_tokens - num_prompt_tokens
    num_needed = 1 if requested is None else requested
    if num_needed > room:
        # LiteLLM and LangChain recognise the error by these words of OpenAI and of Anthropic.
        raise ContextTooLong(
            f"This model's maximum context length is {limits.context_tokens} tokens; however, you"
            f" requested {num_prompt_tokens + num_needed} tokens ({num_prompt_tokens} in the"
            f" prompt, {num_needed} in the completion), so the prompt is too long; shorten it or"
            " the clip, or generate fewer tokens",
            param=field if num_prompt_tokens < limits.context_tokens else prompt_field,
        )
    return min(limits.default_max_tokens, room) if requested is None else requested


def _messages(turns: Sequence[Turn]) -> Iterator[dict[str, Any]]:
    """Yield the messages for the template; results that follow each other are one."""
    for is_result, group in itertools.groupby(turns, key=lambda turn: turn.role == "tool"):
        if is_result:
            text = tool_text.results_text([turn.text for turn in group])
            yield _message("user", text, has_audio=False)
            continue
        for turn in group:
            yield _message(turn.role, _text(turn), has_audio=turn.has_audio)


def _text(turn: Turn) -> str:
    if not turn.snippets:
        return turn.text
    mark = tool_text.system_text if turn.role == "system" else tool_text.answer_text
    return mark(turn.text, [snippet.text for snippet in turn.snippets])


def _message(role: str, text: str, *, has_audio: bool) -> dict[str, Any]:
    audio = [{"type": "audio"}] if has_audio else []
    return {"role": role, "content": [*audio, {"type": "text", "text": text}]}


def rendered(processor: Processor, turns: Sequence[Turn]) -> str:
    """Return the text of the prompt, with one placeholder for the audio."""
    messages = list(_messages(turns))
    return processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)


@functools.lru_cache(SHAPES_KEPT)
def _default_system_text(processor: Processor) -> str:
    """Return the system message that the template gives a conversation without one, or none."""
    mark, question = "system text", Turn("user", "x")
    before, _, after = rendered(processor, [Turn("system", mark), question]).partition(mark)
    default = rendered(processor, [question])
    is_alike = default.startswith(before) and default.endswith(after)
    return default[len(before) : len(default) - len(after)] if is_alike else ""


@functools.lru_cache(SHAPES_KEPT)
def opens_reasoning(processor: Processor) -> bool:
    """Return whether the chat template begins an answer with its reasoning."""
    return rendered(processor, [Turn("user", "x")]).rstrip().endswith(OPEN.decode())


def beginning_of(processor: Processor, text: str) -> str:
    """Return how an answer that begins with `text` begins behind the generation prompt.

    If that has opened the reasoning, it is ended: nothing is reasoned before a given beginning.
    """
    return END + text if text and opens_reasoning(processor) else text


def _tokenize(processor: Processor, turns: Sequence[Turn], beginning: str) -> list[int]:
    text = rendered(processor, turns) + beginning_of(processor, beginning)
    ids: list[int] = processor.tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


@functools.lru_cache(SHAPES_KEPT)
def _template_tokens(
    processor: Processor, turns: tuple[Turn, ...], beginning: str
) -> tuple[int, ...]:
    """Return the control tokens that the template puts around turns with harmless text."""
    return control_tokens(processor).among(_tokenize(processor, turns, beginning))


def _without_text(turn: Turn) -> Turn:
    """Return a turn that the template treats alike; it may leave out a blank one."""
    text = "x" if turn.text.strip() else turn.text[:1]
    return replace(turn, text=text, field="", snippets=(Snippet("x", ""),) * len(turn.snippets))


def _texts(turns: Sequence[Turn]) -> Iterator[tuple[str, str]]:
    """Yield each text of a request, and its field."""
    for number, turn in enumerate(turns):
        yield turn.text, turn.field or f"messages[{number}].content"
        yield from ((snippet.text, snippet.field) for snippet in turn.snippets)


def _reject_spelled_tokens(control: ControlTokens, turns: Sequence[Turn]) -> None:
    for text, field in _texts(turns):
        if (token := control.first_in(text)) is not None:
            raise BadRequest(
                f"the text contains the control token {token!r}; remove it", param=field
            )


def _formed_token(tokenizer: Any, control: ControlTokens, turns: Sequence[Turn]) -> BadRequest:
    """Return the error about a control token that is in the prompt, but not spelled out."""
    for text, field in _texts(turns):
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        for token_id in control.among(ids):
            return BadRequest(
                f"a part of the text is tokenized as the control token {control.ids[token_id]!r};"
                " remove it",
                param=field,
            )
    return BadRequest(
        "the text forms a control token together with the chat template; change where it begins"
        " or ends",
        param="messages",
    )


def expand_audio(processor: Any, ids: Sequence[int], num_audio_tokens: int) -> TokenIds:
    """Expand the one `<sound>`, between begin and end tokens where the checkpoint has them."""
    if processor.audio_token_id not in ids:
        return np.array(ids, np.int32)
    at = list(ids).index(processor.audio_token_id)
    begin = getattr(processor, "audio_bos_token_id", None)
    end = getattr(processor, "audio_eos_token_id", None)
    run = np.full(num_audio_tokens, processor.audio_token_id, np.int32)
    before = [*ids[:at], *([] if begin is None else [begin])]
    after = [*([] if end is None else [end]), *ids[at + 1 :]]
    return np.concatenate((np.array(before, np.int32), run, np.array(after, np.int32)))
