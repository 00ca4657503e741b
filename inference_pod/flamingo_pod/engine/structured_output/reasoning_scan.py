"""Where in its output a sequence is: in its reasoning, or in the answer behind it.

A checkpoint that thinks writes its reasoning between two marks before it answers. They are found in
the bytes of the tokens, not in their ids: a tokenizer that has no tokens for the marks writes them
with several, and joins their first and last characters with what is beside them.

Pure.
"""

from enum import Enum

OPEN, CLOSE = b"<think>", b"</think>"
END = "\n</think>\n\n"
"""How reasoning ends where the model does not end it: the mark with the line ends that Qwen's
models write around it."""
BLANKS = b" \t\n\r\v\f"


class Phase(Enum):
    """A part of an output."""

    START = "start"
    """Nothing, or blanks and a beginning of the opening mark."""
    REASONING = "reasoning"
    BETWEEN = "between"
    """The closing mark has been written, and at most blanks behind it."""
    ANSWER = "answer"


class ReasoningScan:
    """Follows the output of one sequence."""

    def __init__(self, *, is_open: bool = False) -> None:
        """`is_open` is whether the prompt ends with the opening mark."""
        self.phase = Phase.REASONING if is_open else Phase.START
        self.num_tokens = 0
        """Tokens behind the opening mark, as long as the reasoning lasts."""
        self._held = b""
        """Bytes that may belong to a mark."""

    @property
    def has_reasoning(self) -> bool:
        """Whether all tokens so far are reasoning, marks and blanks, and not only blanks."""
        return self.phase in (Phase.REASONING, Phase.BETWEEN)

    @property
    def num_matched(self) -> int:
        """Bytes of the next mark that the output ends with."""
        return len(self._held)

    def push(self, text: bytes) -> None:
        """Follow the next token, which has these bytes; a special one has none."""
        match self.phase:
            case Phase.START:
                self._begin((self._held + text).lstrip(BLANKS))
            case Phase.REASONING:
                self.num_tokens += 1
                self._reason(self._held + text)
            case Phase.BETWEEN:
                self._answer(text)
            case Phase.ANSWER:
                pass

    def _begin(self, text: bytes) -> None:
        if text.startswith(OPEN):
            self.phase = Phase.REASONING
            self._reason(text.removeprefix(OPEN))
        elif OPEN.startswith(text):
            self._held = text
        else:
            self.phase, self._held = Phase.ANSWER, b""

    def _reason(self, text: bytes) -> None:
        _, mark, rest = text.partition(CLOSE)
        if mark:
            self.phase, self._held = Phase.BETWEEN, b""
            self._answer(rest)
        else:
            self._held = common_end(text, CLOSE)

    def _answer(self, text: bytes) -> None:
        if text.strip(BLANKS):
            self.phase = Phase.ANSWER


def common_end(text: bytes, mark: bytes) -> bytes:
    """Return the longest end of `text` that a mark begins with, and goes on behind."""
    sizes = range(min(len(mark) - 1, len(text)), 0, -1)
    return next((text[-size:] for size in sizes if mark.startswith(text[-size:])), b"")
