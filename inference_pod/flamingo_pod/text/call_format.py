"""The tables of a tokenizer's tokens that calls of functions need, where the model decides on them.

Pure: the processor is an argument.
"""

from typing import Any

from flamingo_pod.engine.structured_output.call_tokens import CLOSE, OPEN, CallTokens
from flamingo_pod.text.byte_level import is_byte_level, text_bytes
from flamingo_pod.text.reasoning_format import Vocabulary


def call_tokens(processor: Any, vocabulary: Vocabulary) -> CallTokens:
    """Return the tables, in two seconds for 151,672 tokens.

    Raises:
        ValueError: the tokenizer cannot write the marks of calls as text.
    """
    tokenizer = processor.tokenizer
    if not is_byte_level(tokenizer):
        raise ValueError("the tokenizer is not one of bytes")
    table = text_bytes(tokenizer)
    for mark in (OPEN, CLOSE):
        ids = tokenizer(mark.decode(), add_special_tokens=False)["input_ids"]
        if b"".join(table[each] for each in ids) != mark:
            raise ValueError(f"the tokenizer has {mark.decode()} as a special token")
    return CallTokens.create([table[each] for each in range(vocabulary.size)], vocabulary.eos_ids)
