"""Turn token ids into text incrementally, up to a stop string.

A character may span several tokens, and so may a stop string: text is held back until no further
token can change it.

Pure: the tokenizer is an argument.
"""

from collections.abc import Mapping, Sequence
from typing import Any

INCOMPLETE = "\N{REPLACEMENT CHARACTER}"
"""What a tokenizer returns for bytes that are not, or not yet, a whole character."""
LOOKBACK_TOKENS = 6
"""How many tokens already returned are decoded again, so that spaces are right."""
MAX_PENDING_TOKENS = 3
"""A UTF-8 character has at most four bytes, so an incomplete one has at most three."""


class Detokenizer:
    """The text of one choice, as its tokens arrive."""

    def __init__(self, tokenizer: Any, stop_strings: Sequence[str] = ()) -> None:
        self._tokenizer = tokenizer
        self._stop_strings = tuple(stop_strings)
        self._ids: list[int] = []
        self._start = 0
        self._num_returned = 0
        self._pending_text = ""
        self.is_stopped = False
        """Whether a stop string was generated; the text ends before it."""

    def push(self, token_id: int) -> str:
        """Return the text that `token_id` completes; often empty."""
        self._ids.append(token_id)
        return self._up_to_stop(self._new_text(is_last=False), is_last=False)

    def finish(self) -> str:
        """Return the text that was still held back."""
        return self._up_to_stop(self._new_text(is_last=True), is_last=True)

    def _new_text(self, *, is_last: bool) -> str:
        """Return the text of the ids not yet returned, up to the last whole character."""
        num, text = len(self._ids), self._decode(self._ids[self._start :])
        if text.endswith(INCOMPLETE) and not is_last:
            num, text = self._complete_prefix(text)
        before = self._decode(self._ids[self._start : self._num_returned])
        self._num_returned = num
        self._start = max(0, self._num_returned - LOOKBACK_TOKENS)
        return text[len(before) :]

    def _complete_prefix(self, text: str) -> tuple[int, str]:
        """Return how many ids no later one can change, and their text."""
        for num in range(len(self._ids) - MAX_PENDING_TOKENS, self._num_returned, -1):
            prefix = self._decode(self._ids[self._start : num])
            if text.startswith(prefix):  # else this splits a character
                return num, prefix
        return self._num_returned, ""

    def _decode(self, ids: Sequence[int]) -> str:
        text: str = self._tokenizer.decode(ids, skip_special_tokens=True)
        return text

    def _up_to_stop(self, new_text: str, *, is_last: bool) -> str:
        if self.is_stopped:
            return ""
        text = self._pending_text + new_text
        at = min(
            (found for stop in self._stop_strings if (found := text.find(stop)) >= 0), default=None
        )
        if at is not None:
            self.is_stopped, self._pending_text = True, ""
            return text[:at]
        num_pending = 0 if is_last else _overlap(text, self._stop_strings)
        self._pending_text = text[len(text) - num_pending :]
        return text[: len(text) - num_pending]


def token_bytes(tokenizer: Any, token_id: int) -> bytes | None:
    """Return a token's bytes, or None where a padded vocabulary has no token."""
    text: str | None = tokenizer.convert_ids_to_tokens(token_id)
    if text is None:
        return None
    try:
        return bytes(BYTE_OF_CHARACTER[character] for character in text)
    except KeyError:  # an added token is stored as plain text
        return text.encode()


def _alphabet() -> dict[str, int]:
    """Return GPT-2's alphabet of byte-level vocabularies: one character for each byte."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(0x100) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {
        chr(0x100 + number): byte for number, byte in enumerate(others)
    }


BYTE_OF_CHARACTER: Mapping[str, int] = _alphabet()


def _overlap(text: str, stop_strings: Sequence[str]) -> int:
    """Return how many of the last characters may begin a stop string."""
    lengths = (
        length
        for stop in stop_strings
        for length in range(1, min(len(stop), len(text) + 1))
        if text.endswith(stop[:length])
    )
    return max(lengths, default=0)
