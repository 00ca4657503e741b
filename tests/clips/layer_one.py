"""MPEG audio of layer I, for which FFmpeg has a decoder and no encoder: a tone in one subband."""

SAMPLES = 384
"""Of a frame, of each channel."""
RATES_HZ = {
    # by whether they are MPEG-2's, in the order of their codes
    False: (44_100, 48_000, 32_000),
    True: (22_050, 24_000, 16_000),
}
KBIT_CODE = 8
KBITS = {False: 256, True: 128}
NUM_SUBBANDS = 32
SUBBAND = 1
ALLOCATION = 3
"""Four bits a sample."""
SCALE_FACTOR = 9


def encoded(num_frames: int, rate_hz: int, layout: str) -> bytes:
    """Return a file of equal frames."""
    return _frame(rate_hz, layout == "mono") * num_frames


def _frame(rate_hz: int, is_mono: bool) -> bytes:
    is_mpeg2 = rate_hz in RATES_HZ[True]
    num_channels = 1 if is_mono else 2
    fields = [
        # value and bits: sync, version, layer, no CRC
        (0x7FF, 11), (2 if is_mpeg2 else 3, 2), (3, 2), (1, 1),
        # bit rate, sample rate, no padding, private; mode and the rest
        (KBIT_CODE, 4), (RATES_HZ[is_mpeg2].index(rate_hz), 2), (0, 2), (3 if is_mono else 0, 2),
        (0, 6),
    ]  # fmt: skip
    for subband in range(NUM_SUBBANDS):
        fields += [(ALLOCATION if subband == SUBBAND else 0, 4)] * num_channels
    fields += [(SCALE_FACTOR, 6)] * num_channels
    for number in range(SAMPLES // NUM_SUBBANDS):
        fields += [(0 if number % 2 else 14, 4)] * num_channels
    bits = "".join(f"{value:0{num_bits}b}" for value, num_bits in fields)
    num_bytes = 12 * KBITS[is_mpeg2] * 1000 // rate_hz * 4
    data = int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")
    return data.ljust(num_bytes, b"\x55")  # ancillary data
