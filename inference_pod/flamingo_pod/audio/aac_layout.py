"""The channels of AAC whose layout is not one of the numbered ones, by name.

Such a file lists its channels by position, in a program config element, which FFmpeg reads only
if it finds one of its own layouts in it. Its own encoder writes others, for 5.1 with side channels
and for 6.1, where the LFE channel is a single channel at the side; no layout has one there.

Pure.
"""

from collections.abc import Iterator

ESCAPE_RATE, ESCAPE_TYPE = 15, 31
EXTENSIONS = frozenset({5, 29})
"""Object types of SBR and PS, after which the type of the core follows."""
PAIRS = {
    "front": (("FL", "FR"), ("FLC", "FRC")),
    "side": (("SL", "SR"),) * 2,
    "back": (("BL", "BR"),) * 2,
}
SINGLES = {"front": "FC", "side": "LFE", "back": "BC"}


class _Bits:
    """The bits of a configuration."""

    def __init__(self, data: bytes) -> None:
        self._text = "".join(f"{byte:08b}" for byte in data)
        self._at = 0

    def take(self, num: int) -> int:
        """Return the next bits as a number.

        Raises:
            ValueError: there are none.
        """
        taken = self._text[self._at : self._at + num]
        self._at += num
        return int(taken, 2) if len(taken) == num else int("")


def channel_names(config: bytes) -> tuple[str, ...]:
    """Return FFmpeg's names of the channels in an AudioSpecificConfig, in the decoder's order.

    There are none without a program config element.
    """
    bits = _Bits(config)
    try:
        return tuple(_elements(bits)) if _has_elements(bits) else ()
    except (ValueError, IndexError):
        return ()


def _has_elements(bits: _Bits) -> bool:
    """Read up to the program config element."""
    kind = _object_type(bits)
    _skip_rate(bits)
    configuration = bits.take(4)
    if kind in EXTENSIONS:
        _skip_rate(bits)
        _object_type(bits)
    bits.take(1)
    if bits.take(1):
        bits.take(14)
    bits.take(1)
    return configuration == 0


def _object_type(bits: _Bits) -> int:
    kind = bits.take(5)
    return 32 + bits.take(6) if kind == ESCAPE_TYPE else kind


def _skip_rate(bits: _Bits) -> None:
    if bits.take(4) == ESCAPE_RATE:
        bits.take(24)


def _elements(bits: _Bits) -> Iterator[str]:
    bits.take(10)  # tag, object type and rate
    counts = [(place, bits.take(4)) for place in PAIRS]
    num_lfe = bits.take(2)
    bits.take(7)  # associated data and coupling channels
    for num_bits in (4, 4, 3):  # mixes, each after a flag
        if bits.take(1):
            bits.take(num_bits)
    for place, count in counts:
        pairs = iter(PAIRS[place])
        for _ in range(count):
            is_pair = bits.take(1)
            bits.take(4)
            yield from next(pairs, ()) if is_pair else (SINGLES[place],)
    yield from ("LFE",) * num_lfe
