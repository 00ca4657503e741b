"""Separates the reasoning that precedes an answer, as checkpoints write it that think first.

An answer that begins with `<think>`, or whose prompt ends so, is reasoning up to `</think>`. Any
other one is returned as it arrives, except that a beginning that may become the mark is held back.

Pure.
"""

from dataclasses import dataclass

from flamingo_pod.engine.structured_output import reasoning_scan
from flamingo_pod.engine.structured_output.reasoning_scan import Phase

OPEN, CLOSE, BLANKS = (
    each.decode() for each in (reasoning_scan.OPEN, reasoning_scan.CLOSE, reasoning_scan.BLANKS)
)


@dataclass(frozen=True, slots=True)
class Pieces:
    """The next pieces of the reasoning and of the answer; often one of them is empty."""

    reasoning: str = ""
    answer: str = ""

    def __add__(self, other: "Pieces") -> "Pieces":
        return Pieces(self.reasoning + other.reasoning, self.answer + other.answer)


class ReasoningSplitter:
    """Splits the text of one choice, as it arrives."""

    def __init__(self, *, is_open: bool = False) -> None:
        """`is_open` is whether the prompt ends with the opening mark."""
        self._state = Phase.REASONING if is_open else Phase.START
        self._has_reasoning = False
        self._held = ""
        """Text that may be a mark, or blanks before something."""

    @property
    def is_reasoning(self) -> bool:
        """Whether the reasoning has begun, and not ended."""
        return self._state is Phase.REASONING

    def push(self, text: str) -> Pieces:
        """Return the pieces that `text` completes."""
        if self._state is Phase.ANSWER:
            return Pieces(answer=text)
        self._held += text
        if self._state is Phase.START:
            return self._begin()
        return self._reason() if self._state is Phase.REASONING else self._answer()

    def finish(self) -> Pieces:
        """Return what was held back."""
        held, self._held = self._held, ""
        match self._state:
            case Phase.START:
                return Pieces(answer=held)
            case Phase.REASONING:
                return Pieces(reasoning=held)
            case _:
                return Pieces()

    def _begin(self) -> Pieces:
        text = self._held.lstrip(BLANKS)
        if text.startswith(OPEN):
            self._state, self._held = Phase.REASONING, text.removeprefix(OPEN)
            return self._reason()
        if OPEN.startswith(text):
            return Pieces()
        return self._start_answer(self._held)

    def _reason(self) -> Pieces:
        if not self._has_reasoning:
            self._held = self._held.lstrip(BLANKS)
        reasoning, mark, rest = self._held.partition(CLOSE)
        if mark:
            self._state, self._held = Phase.BETWEEN, rest
            return Pieces(reasoning.rstrip(BLANKS)) + self._answer()
        num_held = _num_held(self._held)
        reasoning, self._held = self._held[:num_held], self._held[num_held:]
        self._has_reasoning = self._has_reasoning or bool(reasoning)
        return Pieces(reasoning)

    def _answer(self) -> Pieces:
        text = self._held.lstrip(BLANKS)
        return self._start_answer(text) if text else Pieces()

    def _start_answer(self, text: str) -> Pieces:
        self._state, self._held = Phase.ANSWER, ""
        return Pieces(answer=text)


def _num_held(text: str) -> int:
    """Return how much of `text` cannot be a part of the closing mark, or blanks before it."""
    sizes = range(min(len(CLOSE) - 1, len(text)), 0, -1)
    at = next((len(text) - size for size in sizes if CLOSE.startswith(text[-size:])), len(text))
    return len(text[:at].rstrip(BLANKS))
