"""Channels of AAC that FFmpeg's decoder leaves without a name."""

import io

import av
import numpy as np
import pytest
from fakes.tagged_files import encoded

from flamingo_pod.audio import aac_layout, sound_file

FRONT = ("FL", "FR", "FC")
NAMES = {
    "5.1(side)": (*FRONT, "LFE", "BL", "BR"),
    "6.1": (*FRONT, "LFE", "BL", "BR", "BC"),
    "6.0": (*FRONT, "SL", "SR", "BC"),
    "hexagonal": (*FRONT, "BL", "BR", "BC"),
    "5.1": (),
    "stereo": (),
}


def config_of(data):
    with av.open(io.BytesIO(data)) as source:
        return bytes(source.streams[0].codec_context.extradata)


def with_tone_in(layout, number):
    """Return AAC with a tone of half of full scale in one channel."""
    num_channels = av.AudioLayout(layout).nb_channels
    samples = np.zeros((num_channels, 48_000), np.float32)
    samples[number] = 0.5 * np.sin(2 * np.pi * 440 * np.arange(48_000) / 48_000)
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as sink:
        stream = sink.add_stream("aac", rate=48_000, layout=layout)
        for start in range(0, 48_000, 1024):
            part = np.ascontiguousarray(samples[:, start : start + 1024])
            interleaved = part.T.reshape(1, -1).copy()
            frame = av.AudioFrame.from_ndarray(interleaved, "flt", layout)
            frame.sample_rate, frame.pts = 48_000, start
            for planar in av.AudioResampler("fltp", layout, 48_000).resample(frame):
                planar.pts = start
                sink.mux(stream.encode(planar))
        sink.mux(stream.encode(None))
    return file.getvalue()


def level(samples):
    return float(np.sqrt((samples[4_000:12_000] ** 2).mean()) / 0.5 * np.sqrt(2))


@pytest.mark.parametrize("layout", NAMES)
def test_the_channels_are_named_in_the_order_of_the_decoder(layout):
    config = config_of(encoded("mp4", "aac", 48_000, layout, 0.5))
    assert aac_layout.channel_names(config) == NAMES[layout]


@pytest.mark.parametrize("layout", ["5.1(side)", "6.1"])
@pytest.mark.parametrize(("number", "expected"), [(0, 0.5), (2, 0.707), (3, 0.0), (5, 0.354)])
def test_they_are_mixed_by_their_names(layout, number, expected):
    samples = sound_file.decode_bytes(with_tone_in(layout, number), 60)
    assert level(samples) == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("size", range(12))
def test_a_truncated_configuration_names_nothing_or_a_beginning(size):
    config = config_of(encoded("mp4", "aac", 48_000, "6.1", 0.5))
    assert aac_layout.channel_names(config[:size]) in ((), NAMES["6.1"])
