"""Token ids as they come → text as it may be shown.

A character may span several tokens, and so may a stop string: text is held back
until neither can change it any more.

Pure: the tokenizer is an argument.
"""

from collections.abc import Mapping, Sequence
from typing import Any

INCOMPLETE = "\N{REPLACEMENT CHARACTER}"
"""What a tokenizer prints for bytes that are not yet, or never will be, a character."""
LOOKBACK_TOKENS = 6
"""How much of what was shown is decoded again, so that spaces join as they should."""
MAX_PENDING_TOKENS = 3
"""A UTF-8 character has at most four bytes, so one that is not whole has at most three."""


class Detokenizer:
    """The text of one answer, piece by piece."""

    def __init__(self, tokenizer: Any, stops: Sequence[str] = ()) -> None:
        self._tokenizer = tokenizer
        self._stops = tuple(stops)
        self._ids: list[int] = []
        self._from = 0
        self._shown = 0
        self._held = ""
        self.is_stopped = False
        """Whether a stop string was met; the text ends before it."""

    def push(self, token_id: int) -> str:
        """Return the text that `token_id` completes; often empty."""
        self._ids.append(token_id)
        return self._release(self._fresh(is_last=False), is_last=False)

    def finish(self) -> str:
        """Return what was still held back."""
        return self._release(self._fresh(is_last=True), is_last=True)

    def _fresh(self, *, is_last: bool) -> str:
        """Return the text of the ids not yet shown, as far as it is whole."""
        num, text = len(self._ids), self._decode(self._ids[self._from :])
        if text.endswith(INCOMPLETE) and not is_last:
            num, text = self._settled(text)
        before = self._decode(self._ids[self._from : self._shown])
        self._shown = num
        self._from = max(0, self._shown - LOOKBACK_TOKENS)
        return text[len(before) :]

    def _settled(self, text: str) -> tuple[int, str]:
        """Return how many ids no later one can change, and what is said up to there."""
        for num in range(len(self._ids) - MAX_PENDING_TOKENS, self._shown, -1):
            settled = self._decode(self._ids[self._from : num])
            if text.startswith(settled):  # else a character is cut here
                return num, settled
        return self._shown, ""

    def _decode(self, ids: Sequence[int]) -> str:
        text: str = self._tokenizer.decode(ids, skip_special_tokens=True)
        return text

    def _release(self, fresh: str, *, is_last: bool) -> str:
        if self.is_stopped:
            return ""
        text = self._held + fresh
        at = min((found for stop in self._stops if (found := text.find(stop)) >= 0), default=None)
        if at is not None:
            self.is_stopped, self._held = True, ""
            return text[:at]
        num_held = 0 if is_last else _overlap(text, self._stops)
        self._held = text[len(text) - num_held :]
        return text[: len(text) - num_held]


def token_bytes(tokenizer: Any, token_id: int) -> bytes | None:
    """Return what a token stands for, or None where a padded vocabulary has no token."""
    piece: str | None = tokenizer.convert_ids_to_tokens(token_id)
    if piece is None:
        return None
    try:
        return bytes(BYTES[character] for character in piece)
    except KeyError:  # an added token is written as it reads
        return piece.encode()


def _alphabet() -> dict[str, int]:
    """Return GPT-2's alphabet, in which byte-level vocabularies are written: a byte a character."""
    shown = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(0x100) if byte not in shown]
    return {chr(byte): byte for byte in shown} | {
        chr(0x100 + number): byte for number, byte in enumerate(hidden)
    }


BYTES: Mapping[str, int] = _alphabet()


def _overlap(text: str, stops: Sequence[str]) -> int:
    """Return how many of the last characters may be the beginning of a stop string."""
    lengths = (
        length
        for stop in stops
        for length in range(1, min(len(stop), len(text) + 1))
        if text.endswith(stop[:length])
    )
    return max(lengths, default=0)
