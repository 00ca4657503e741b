"""The bytes of tokens, and their text: what a byte-level tokenizer decodes, one token at a time.

Pure: the tokenizer is an argument.
"""

import codecs
import functools
from collections.abc import Mapping
from typing import Any

from tokenizers import decoders

TABLES_KEPT = 8
"""Tokenizers whose bytes are kept; a pod has one."""


def token_bytes(tokenizer: Any, token_id: int) -> bytes | None:
    """Return a token's bytes, or None where a padded vocabulary has no token."""
    text: str | None = tokenizer.convert_ids_to_tokens(token_id)
    if text is None:
        return None
    try:
        return bytes(BYTE_OF_CHARACTER[character] for character in text)
    except KeyError:  # an added token is stored as plain text
        return text.encode()


def is_byte_level(tokenizer: Any) -> bool:
    """Whether the tokenizer's text is nothing but the bytes of its tokens."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    return isinstance(getattr(backend, "decoder", None), decoders.ByteLevel)


class ByteLevelDecoder:
    """The text of tokens as they arrive, except the bytes of an unfinished character.

    All pieces together are the text that the tokenizer decodes from all ids without special
    tokens. Each costs a look-up, while the tokenizer would have to decode earlier tokens again to
    see which characters a new one completes.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._bytes = text_bytes(tokenizer)
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, token_id: int) -> str:
        """Return the text that a token completes."""
        return self._utf8.decode(self._bytes[token_id])

    def finish(self) -> str:
        """Return the text of bytes that are not a whole character."""
        return self._utf8.decode(b"", True)


class _TextBytes(dict[int, bytes]):
    """Bytes that tokens add to a text: none for a special one. Computed when first read."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        added = tokenizer.added_tokens_decoder
        self._special_ids = {each for each, token in added.items() if token.special}

    def __missing__(self, token_id: int) -> bytes:
        is_text = token_id not in self._special_ids
        found = (token_bytes(self._tokenizer, token_id) or b"") if is_text else b""
        self[token_id] = found
        return found


@functools.lru_cache(TABLES_KEPT)
def text_bytes(tokenizer: Any) -> Mapping[int, bytes]:
    """Return the bytes that each token adds to a text, by id: none for a special one."""
    return _TextBytes(tokenizer)


def _alphabet() -> dict[str, int]:
    """Return GPT-2's alphabet of byte-level vocabularies: one character for each byte."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(0x100) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {
        chr(0x100 + number): byte for number, byte in enumerate(others)
    }


BYTE_OF_CHARACTER: Mapping[str, int] = _alphabet()
