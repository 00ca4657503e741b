"""Turn token ids into text incrementally, up to a stop string.

A character may span several tokens, and so may a stop string: text is held back until no further
token can change it.

Pure: the tokenizer is an argument.
"""

from collections.abc import Sequence
from typing import Any

from flamingo_pod.text.byte_level import ByteLevelDecoder, is_byte_level
from flamingo_pod.text.stop_strings import StopStrings

INCOMPLETE = "\N{REPLACEMENT CHARACTER}"
"""What a tokenizer returns for bytes that are not, or not yet, a whole character."""


class Detokenizer:
    """The text of one choice, as its tokens arrive."""

    def __init__(
        self,
        tokenizer: Any,
        stop_strings: Sequence[str] = (),
        *,
        min_tokens: int = 0,
        is_stop_kept: bool = False,
    ) -> None:
        """`stop_strings` are not looked for in the text of the first `min_tokens` tokens."""
        kind = ByteLevelDecoder if is_byte_level(tokenizer) else WindowDecoder
        self._decoder: ByteLevelDecoder | WindowDecoder = kind(tokenizer)
        self._stops = StopStrings(stop_strings)
        self._num_unstoppable = min_tokens
        self._is_stop_kept = is_stop_kept

    @property
    def stop_string(self) -> str | None:
        """The stop string that was generated; the text ends before it, or with it if it is kept."""
        return self._stops.found

    @property
    def is_stopped(self) -> bool:
        """Whether a stop string was generated."""
        return self.stop_string is not None

    def push(self, token_id: int) -> str:
        """Return the text that `token_id` completes; often empty."""
        text = self._decoder.push(token_id)
        if self._num_unstoppable:
            self._num_unstoppable -= 1
            return text
        return self._stops.push(text, is_kept=self._is_stop_kept)

    def finish(self) -> str:
        """Return the text that was still held back."""
        last = self._decoder.finish()
        if self._num_unstoppable:
            return last
        return self._stops.push(last, is_kept=self._is_stop_kept) + self._stops.finish()


class WindowDecoder:
    """The text of tokens as they arrive, for a tokenizer of any kind.

    The tokens since the text before the last are decoded again with each new one, so that spaces
    between words are right. A broken character is held back until a whole one follows.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._ids: list[int] = []
        """Those that gave the last text, and those that came since."""
        self._num_returned = 0

    def push(self, token_id: int) -> str:
        """Return the text that a token completes."""
        self._ids.append(token_id)
        before, text = self._decode(self._ids[: self._num_returned]), self._decode(self._ids)
        if len(text) <= len(before) or text.endswith(INCOMPLETE):
            return ""
        del self._ids[: self._num_returned]
        self._num_returned = len(self._ids)
        return text[len(before) :]

    def finish(self) -> str:
        """Return the text that was still held back."""
        return self._decode(self._ids)[len(self._decode(self._ids[: self._num_returned])) :]

    def _decode(self, ids: Sequence[int]) -> str:
        text: str = self._tokenizer.decode(ids, skip_special_tokens=True)
        return text
