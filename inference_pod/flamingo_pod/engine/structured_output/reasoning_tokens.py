"""What the tokens of a vocabulary do to the marks around reasoning, as tables of one tokenizer.

Masks are as in `grammar.py`: bit `i % 32` of word `i // 32` is token `i`.

Pure.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from flamingo_pod.engine.structured_output.reasoning_scan import BLANKS, CLOSE, OPEN

Words = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class ReasoningTokens:
    """The tables of a checkpoint that thinks; the pod has one, which all requests share."""

    texts: Sequence[bytes]
    """The bytes that each token adds to a text: none for a special one."""
    endings: Sequence[Sequence[int]]
    """The tokens that end reasoning, by how many bytes of the closing mark are already written."""
    is_open: bool
    """Whether the chat template opens the reasoning, so that it is the first that is generated."""
    opening: Sequence[Words]
    """The tokens that continue the opening mark, by how many of its bytes are written."""
    inside: Sequence[Words]
    """The tokens of reasoning before a constrained answer, by how many bytes of the closing mark
    are written: all but end-of-sequence, and those that end it and begin the answer in one."""
    blank: Words
    """The tokens that are nothing but blanks."""

    @classmethod
    def create(
        cls,
        texts: Sequence[bytes],
        endings: Sequence[Sequence[int]],
        eos_ids: Collection[int],
        *,
        is_open: bool,
    ) -> "ReasoningTokens":
        """Return the tables of a vocabulary, in a second for 151,672 tokens.

        Raises:
            ValueError: an ending is not the rest of the closing mark with blanks behind it.
        """
        for num_written, ids in enumerate(endings):
            if not _is_ending(b"".join(texts[each] for each in ids), num_written):
                raise ValueError("the tokenizer's tokens do not spell the closing mark")
        size = len(texts)
        last = [(each, text) for each, text in enumerate(texts) if CLOSE[-1:] in text]
        opening = [
            words(size, (each for each, text in enumerate(texts) if _continues(text, OPEN[at:])))
            for at in range(len(OPEN))
        ]
        inside = [
            ~words(size, [*eos_ids, *(each for each, text in last if _begins_answer(text, at))])
            for at in range(len(CLOSE))
        ]
        blank = words(size, (i for i, text in enumerate(texts) if text and not text.strip(BLANKS)))
        return cls(texts, endings, is_open, opening, inside, blank)

    def only(self, token_id: int) -> Words:
        """Return the mask of one token."""
        return words(len(self.texts), [token_id])


def words(size: int, token_ids: Iterable[int]) -> Words:
    """Return the mask of these tokens of a vocabulary."""
    mask = np.zeros(-(-size // 32), np.uint32)
    for token_id in token_ids:
        mask[token_id // 32] |= np.uint32(1 << token_id % 32)
    return mask.view(np.int32)


def has(mask: Words, token_id: int) -> bool:
    """Return whether a mask has a token."""
    return bool(int(mask[token_id // 32]) >> token_id % 32 & 1)


def _is_ending(text: bytes, num_written: int) -> bool:
    before, mark, after = (CLOSE[:num_written] + text).partition(CLOSE)
    return bool(mark) and not before.strip(BLANKS) and not after.strip(BLANKS)


def _continues(text: bytes, rest: bytes) -> bool:
    """Return whether a token has the next bytes of the opening mark, and no others but blanks."""
    if not text:
        return False
    return rest.startswith(text) or (text.startswith(rest) and not text[len(rest) :].strip(BLANKS))


def _begins_answer(text: bytes, num_written: int) -> bool:
    """Return whether a token completes the closing mark and has more than blanks behind it."""
    _, mark, after = (CLOSE[:num_written] + text).partition(CLOSE)
    return bool(mark and after.strip(BLANKS))
