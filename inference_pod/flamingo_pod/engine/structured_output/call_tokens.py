"""What the tokens of a vocabulary do to the marks around calls of functions, as tables.

Qwen2.5 writes `<tool_call>`, a line with the call as JSON, and `</tool_call>`, each on a line of
its own. Its tokenizer has a token for each mark, others spell them: so they are found in the bytes
of tokens, not in their ids.

Masks are as in `grammar.py`: bit `i % 32` of word `i // 32` is token `i`.

Pure.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from flamingo_pod.engine.structured_output.reasoning_tokens import Words, words

OPEN, CLOSE = b"<tool_call>", b"</tool_call>"
FURTHER = b"\n" + OPEN
"""What comes between two calls, up to the second one."""


@dataclass(frozen=True, slots=True, eq=False)
class CallTokens:
    """The tables of a tokenizer; the pod has one, which all requests share.

    Each table of a mark has a mask for every number of its bytes that are already written.
    """

    texts: Sequence[bytes]
    """The bytes that each token adds to a text: none for a special one."""
    end: Words
    """The tokens that end the output."""
    in_text: Sequence[Words | None]
    """The tokens of free text, by the bytes of the opening mark that it ends with: all (None), or
    all but those that complete the mark and begin the call at once."""
    opening: Sequence[Words]
    """The tokens that continue the opening mark, and have nothing behind it."""
    closing: Sequence[Words]
    """The same of the closing mark."""
    further: Sequence[Words]
    """The same of the line end and the mark that begin a further call."""

    @classmethod
    def create(cls, texts: Sequence[bytes], eos_ids: Collection[int]) -> "CallTokens":
        """Return the tables of a vocabulary, in two seconds for 151,672 tokens.

        Raises:
            ValueError: the tokens cannot write the marks.
        """
        tables = [_continuing(texts, mark) for mark in (OPEN, CLOSE, FURTHER)]
        if not all(mask.any() for table in tables for mask in table):
            raise ValueError("the tokenizer's tokens cannot write <tool_call> and </tool_call>")
        last = [(number, text) for number, text in enumerate(texts) if OPEN[-1:] in text]
        in_text = [
            _all_but(len(texts), (number for number, text in last if _begins_call(text, at)))
            for at in range(len(OPEN))
        ]
        return cls(texts, words(len(texts), eos_ids), in_text, *tables)


def _continuing(texts: Sequence[bytes], mark: bytes) -> list[Words]:
    """Return the tokens that are the next bytes of a mark, by how many are written."""
    parts = [(number, text) for number, text in enumerate(texts) if text and text in mark]
    return [words(len(texts), _next_in(parts, mark[at:])) for at in range(len(mark))]


def _next_in(parts: Iterable[tuple[int, bytes]], rest: bytes) -> Iterator[int]:
    return (number for number, text in parts if rest.startswith(text))


def _begins_call(text: bytes, num_written: int) -> bool:
    """Return whether a token has text behind the opening mark, of which these bytes are written."""
    return bool((OPEN[:num_written] + text).partition(OPEN)[2])


def _all_but(size: int, token_ids: Iterable[int]) -> Words | None:
    excluded = list(token_ids)
    return ~words(size, excluded) if excluded else None
