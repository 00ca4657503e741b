"""How sure a model is of the values of its answer: the probabilities of the tokens they consist of.

How it works: an answer's tokens lie one behind the other in its bytes. The confidence in a value is
the product of the probabilities of the tokens that have any of its bytes: the probability of
writing just this value, after all that stands before it. The tokens of the form, as braces and
names of fields, do not count. The end of a value counts: the quotation mark of a string, and the
character behind a number, since `12` is also the beginning of `120`.

Probabilities are those of the model without the constraint and without the temperature, so a
value that the constraint has forced upon the model has a low confidence.

Pure.
"""

import bisect
import itertools
import math
from collections.abc import Sequence

from flamingo_pod.text import json_spans

Token = tuple[bytes, float]
"""A token's bytes, and its log-probability."""


def of_json(text: str, tokens: Sequence[Token]) -> dict[str, float] | None:
    """Return the confidence, from 0 to 1, in each value of a JSON text, by its JSON Pointer.

    The bytes of `tokens` end with those of `text`; None if they do not.
    """
    spans = [(value.pointer, value.start, value.end) for value in json_spans.values(text)]
    return _of_spans(text, tokens, spans)


def of_text(text: str, tokens: Sequence[Token]) -> dict[str, float] | None:
    """Return the confidence, from 0 to 1, in a text as a whole, whose JSON Pointer is empty.

    The bytes of `tokens` end with those of `text`; None if they do not.
    """
    return _of_spans(text, tokens, [("", 0, len(text))])


def _of_spans(
    text: str, tokens: Sequence[Token], spans: Sequence[tuple[str, int, int]]
) -> dict[str, float] | None:
    written = b"".join(token for token, _ in tokens)
    encoded = text.encode()
    if not written.endswith(encoded):
        return None
    byte_at = list(itertools.accumulate((len(one.encode()) for one in text), initial=0))
    first = len(written) - len(encoded)
    ends = list(itertools.accumulate(len(token) for token, _ in tokens))
    found = {}
    for pointer, start, end in spans:
        left = bisect.bisect_right(ends, first + byte_at[start])
        right = bisect.bisect_left(ends, first + byte_at[end]) + 1
        found[pointer] = math.exp(sum(logprob for _, logprob in tokens[left:right]))
    return found
