"""Whether a checkpoint thinks before it answers, and the tables of its tokens that this needs.

Pure: the processor is an argument.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from flamingo_pod.engine.structured_output.reasoning_scan import CLOSE, END, OPEN
from flamingo_pod.engine.structured_output.reasoning_tokens import ReasoningTokens
from flamingo_pod.model.limits import ReasoningParser
from flamingo_pod.text.byte_level import is_byte_level, text_bytes
from flamingo_pod.text.control_tokens import chat_templates
from flamingo_pod.text.prompt import opens_reasoning

MARKS = (OPEN.decode(), CLOSE.decode())
THINKING_NAME = re.compile(r"(?<![a-z])think(ing)?(?![a-z])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """A model's tokens."""

    size: int
    """With padding behind those of the tokenizer, if there is any."""
    eos_ids: Collection[int]


@dataclass(frozen=True, slots=True)
class Thinks:
    """Whether a checkpoint thinks, and how that is known."""

    answer: bool
    reason: str


def thinks(processor: Any, model_id: str, parser: ReasoningParser) -> Thinks:
    """Return whether a checkpoint thinks; `model_id` is its id or its folder."""
    if parser != "auto":
        return Thinks(parser == "think", f"--reasoning-parser {parser}")
    if opens_reasoning(processor) or any(MARKS[1] in each for each in chat_templates(processor)):
        return Thinks(True, "its chat template has the marks")
    added = processor.tokenizer.added_tokens_decoder.values()
    if {*MARKS} <= {token.content for token in added}:
        return Thinks(True, "its tokenizer has the marks")
    if THINKING_NAME.search(model_id.rstrip("/").rpartition("/")[2]):
        return Thinks(True, "its name says so")
    return Thinks(False, "neither its chat template nor its tokenizer or name say so")


def found(
    processor: Any, model_id: str, parser: ReasoningParser, vocabulary: Vocabulary
) -> tuple[Thinks, ReasoningTokens | None]:
    """Return whether a checkpoint thinks, and its tables if it does.

    Raises:
        ValueError: it is said to think by the setting, and its tokenizer cannot write the marks.
    """
    answer = thinks(processor, model_id, parser)
    if not answer.answer:
        return answer, None
    try:
        return answer, reasoning_tokens(processor, vocabulary)
    except ValueError as error:
        if parser == "think":
            raise
        return Thinks(False, f"{answer.reason}, but {error}"), None


def reasoning_tokens(processor: Any, vocabulary: Vocabulary) -> ReasoningTokens:
    """Return the tables of a checkpoint that thinks, in a second for 151,672 tokens.

    Raises:
        ValueError: the tokenizer cannot write the marks as text.
    """
    tokenizer = processor.tokenizer
    if not is_byte_level(tokenizer):
        raise ValueError("the tokenizer is not one of bytes")
    table = text_bytes(tokenizer)
    mark = MARKS[1]
    texts = [END, *(mark[at:] + END.partition(mark)[2] for at in range(1, len(mark)))]
    return ReasoningTokens.create(
        [table[each] for each in range(vocabulary.size)],
        tokenizer(texts, add_special_tokens=False)["input_ids"],
        vocabulary.eos_ids,
        is_open=opens_reasoning(processor),
    )
