"""Which tokens control the model, and which of them a tokenized prompt contains.

A control token is one that no text may contain: a typed `<sound>` would be a placeholder that no
audio fills. The rule is that of transformers' `sanitize_control_tokens`: an added token that is
marked as special, or that occurs in the chat template. To these come all that the tokenizer or the
processor has a name for, such as `audio_token`.

Pure: the processor is an argument.
"""

import functools
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

NAMES_KEPT = 8
"""Processors whose control tokens are kept; a pod has one."""


@dataclass(frozen=True, slots=True)
class ControlTokens:
    """The control tokens of one processor."""

    texts: Collection[str]
    ids: Mapping[int, str]
    """Those that are a single token, which is all but misnamed ones."""

    def first_in(self, text: str) -> str | None:
        """Return a control token that `text` spells out, if there is one."""
        return next((token for token in self.texts if token in text), None)

    def among(self, ids: Iterable[int]) -> tuple[int, ...]:
        """Return the control tokens in `ids`, in order."""
        control = self.ids
        return tuple(each for each in ids if each in control)


@functools.lru_cache(NAMES_KEPT)
def control_tokens(processor: Any) -> ControlTokens:
    """Return the control tokens of a processor and its tokenizer."""
    tokenizer = processor.tokenizer
    template = "\0".join(chat_templates(processor))
    texts = {*tokenizer.all_special_tokens, *_named_tokens(processor)}
    for token in tokenizer.added_tokens_decoder.values():
        # Templates contain whitespace as ordinary text; some tokenizers have tokens for it.
        if token.special or (token.content in template and not token.content.isspace()):
            texts.add(token.content)
    texts.discard("")
    ids = {tokenizer.convert_tokens_to_ids(text): text for text in texts}
    found = {each: text for each, text in ids.items() if _is_token(tokenizer, each, text)}
    return ControlTokens(tuple(sorted(texts)), found)


def chat_templates(processor: Any) -> Iterator[str]:
    """Yield the chat templates of a processor and its tokenizer: none, one, or several by name."""
    for owner in (processor, processor.tokenizer):
        template = getattr(owner, "chat_template", None) or {}
        yield from template.values() if isinstance(template, dict) else [template]


def _named_tokens(processor: Any) -> list[str]:
    """Return the tokens in a processor's attributes, such as `audio_bos_token`."""
    return [
        str(value)
        for name, value in vars(processor).items()
        if name.endswith("_token") and value is not None
    ]


def _is_token(tokenizer: Any, token_id: int | None, text: str) -> bool:
    """Whether the id is that token's, and not that of unknown ones."""
    return token_id is not None and tokenizer.convert_ids_to_tokens(token_id) == text
