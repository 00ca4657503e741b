"""The token ids of many questions about the same conversation.

The conversation is rendered and tokenized once. What is behind its last control token, which no
tokenizer merges text across, is tokenized with it where that changes nothing, and else again with
each question. So each question's tokens are the same as if its whole prompt had been tokenized.

Pure: the tokenizer is an argument.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from flamingo_common.errors import BadRequest
from flamingo_pod.engine.structured_output.reasoning_scan import END
from flamingo_pod.text import prompt
from flamingo_pod.text.control_tokens import control_tokens
from flamingo_pod.text.prompt import Processor, TokenIds, Turn

MARK = "the question"


@dataclass(frozen=True, slots=True)
class Field:
    """A text that the model reads, and the request's field that it came from."""

    text: str
    field: str


@dataclass(frozen=True, slots=True)
class QuestionPrompt:
    """A conversation whose last words, the question, are still to come."""

    processor: Processor
    head: TokenIds
    """Up to the question, or to the last control token before it."""
    before: str
    """The text between that and the question."""
    after: str
    """What comes between the question and the answer."""

    @classmethod
    def of(
        cls, processor: Processor, turns: Sequence[Turn], num_audio_tokens: int
    ) -> "QuestionPrompt":
        """Return the prompt of questions that are asked at the end of the last turn, a user's.

        Raises:
            BadRequest: a turn's text contains a control token.
        """
        asked = [*turns[:-1], _asking(turns[-1])]
        prompt.token_ids(processor, asked, num_audio_tokens)  # checks the text of the turns
        text, _, after = prompt.rendered(processor, asked).rpartition(MARK)
        after += END if prompt.opens_reasoning(processor) else ""  # decisions are not reasoned
        at = _end_of_control(processor, text)
        head, before = _tokenized(processor, [text[:at]])[0], text[at:]
        parts = _tokenized(processor, [before, f"x{after}", f"{before}x{after}"])
        if parts[0] + parts[1] == parts[2]:
            head, before = head + parts[0], ""
        return cls(processor, prompt.expand_audio(processor, head, num_audio_tokens), before, after)

    def tails(self, questions: Sequence[Field]) -> list[TokenIds]:
        """Return the tokens behind the head for each question.

        Raises:
            BadRequest: a part of a question is tokenized as a control token, which none of its
                texts spells out.
        """
        texts = [f"{self.before}{each.text}{self.after}" for each in questions]
        harmless, *found = _tokenized(self.processor, [f"x{self.after}", *texts])
        expected = _among(self.processor, harmless)
        for each, ids in zip(questions, found, strict=True):
            if _among(self.processor, ids) != expected:
                raise BadRequest(
                    "a part of the text is tokenized as a control token; change it",
                    param=each.field,
                )
        return [np.array(ids, np.int32) for ids in found]


def answer_tokens(processor: Processor, answers: Sequence[Field]) -> list[tuple[int, ...]]:
    """Return the tokens of the answers that a question can have.

    Raises:
        BadRequest: an answer has no tokens, a control token, or the tokens of another.
    """
    found: dict[tuple[int, ...], str] = {}
    texts = [each.text for each in answers]
    for each, ids in zip(answers, _tokenized(processor, texts), strict=True):
        if not ids or _among(processor, ids):
            raise BadRequest("the text has no tokens of its own; change it", param=each.field)
        if (other := found.setdefault(tuple(ids), each.field)) != each.field:
            raise BadRequest(
                f"the model reads the text as it reads {other}; change one of them",
                param=each.field,
            )
    return list(found)


def reject_control(processor: Processor, texts: Iterable[Field]) -> None:
    """Check that no text contains a control token.

    Raises:
        BadRequest: one does.
    """
    control = control_tokens(processor)
    for each in texts:
        if (token := control.first_in(each.text)) is not None:
            raise BadRequest(
                f"the text contains the control token {token!r}; remove it", param=each.field
            )


def _asking(turn: Turn) -> Turn:
    """Return the turn with a mark in the place of the question."""
    text = turn.text.rstrip()
    return replace(turn, text=f"{text}\n\n{MARK}" if text else MARK)


def _end_of_control(processor: Processor, text: str) -> int:
    """Return where the last control token in a rendered text ends."""
    texts = control_tokens(processor).texts
    return max((at + len(each) for each in texts if (at := text.rfind(each)) >= 0), default=0)


def _tokenized(processor: Processor, texts: Sequence[str]) -> list[list[int]]:
    if not texts:
        return []
    tokenizer: Any = processor.tokenizer
    ids: list[list[int]] = tokenizer(list(texts), add_special_tokens=False)["input_ids"]
    return ids


def _among(processor: Processor, ids: Sequence[int]) -> tuple[int, ...]:
    return control_tokens(processor).among(ids)
