"""Audio files of known duration, written by libsndfile and FFmpeg."""

import io

import av
import numpy as np
import soundfile

SECONDS = 20.0
RATE_HZ = 44_100
SNDFILE = {
    "wav": ("WAV", "PCM_16"),
    "wav of floats": ("WAV", "FLOAT"),
    "wav extensible": ("WAVEX", "PCM_24"),
    "wav over 4 GiB": ("RF64", "PCM_16"),
    "wav in adpcm": ("WAV", "MS_ADPCM"),
    "flac": ("FLAC", "PCM_16"),
    "vorbis": ("OGG", "VORBIS"),
    "wav in ima adpcm": ("WAV", "IMA_ADPCM"),
    "wav in a-law": ("WAV", "ALAW"),
    "aiff": ("AIFF", "PCM_16"),
    "aiff-c of floats": ("AIFF", "FLOAT"),
    "w64": ("W64", "PCM_16"),
    "w64 in adpcm": ("W64", "MS_ADPCM"),
    "caf": ("CAF", "PCM_24"),
    "au": ("AU", "PCM_16"),
    "au in mu-law": ("AU", "ULAW"),
}
FFMPEG = {
    "mp3": ("mp3", "libmp3lame", 128_000, {}),
    "mp3 uncounted": ("mp3", "libmp3lame", 128_000, {"write_xing": "0"}),
    "opus": ("ogg", "libopus", 96_000, {}),
    "flac in ogg": ("ogg", "flac", None, {}),
    "m4a": ("ipod", "aac", 128_000, {}),
    "m4a faststart": ("ipod", "aac", 128_000, {"movflags": "faststart"}),
    "mp4 in fragments": ("mp4", "aac", 128_000, {"movflags": "frag_keyframe+empty_moov"}),
    "adts": ("adts", "aac", 128_000, {}),
    "webm": ("webm", "libopus", 96_000, {}),
    "mp2": ("mp2", "mp2", 192_000, {}),
    "wav of mp3": ("wav", "libmp3lame", 128_000, {}),
    "aiff in ima4": ("aiff", "adpcm_ima_qt", None, {}),
    "caf in alac": ("caf", "alac", None, {}),
    "wavpack": ("wv", "wavpack", None, {}),
    "tta": ("tta", "tta", None, {}),
    "wma": ("asf", "wmav2", 128_000, {}),
    "wma 1": ("asf", "wmav1", 128_000, {}),
    "3gp": ("3gp", "aac", 64_000, {}),
    "mov of pcm": ("mov", "pcm_s24be", None, {}),
}


def music(seconds=SECONDS, rate_hz=RATE_HZ):
    at = np.arange(int(seconds * rate_hz)) / rate_hz
    noise = np.random.default_rng(7).standard_normal(at.size)
    chord = sum(np.sin(2 * np.pi * hz * at) for hz in (110.0, 220.5, 331.0))
    swell = 0.6 + 0.4 * np.sin(2 * np.pi * at / 1.7)
    return ((0.1 * chord + 0.05 * noise) * swell).astype(np.float32)


def with_sndfile(container, subtype, endian="FILE", seconds=SECONDS):
    target = io.BytesIO()
    with soundfile.SoundFile(target, "w", RATE_HZ, 1, subtype, endian, container) as sink:
        for block in np.array_split(music(seconds), max(1, int(seconds))):
            sink.write(block)  # libsndfile's Vorbis overflows the stack on one long block
    return target.getvalue()


def with_ffmpeg(path, name):
    container, codec, bit_rate, options = FFMPEG[name]
    rate_hz = 48_000 if codec == "libopus" else RATE_HZ
    with av.open(str(path), "w", format=container, options=options) as sink:
        stream = sink.add_stream(codec, rate=rate_hz, layout="mono")
        if bit_rate:
            stream.bit_rate = bit_rate
        frame = av.AudioFrame.from_ndarray(music(rate_hz=rate_hz)[None], "fltp", "mono")
        frame.sample_rate, frame.pts = rate_hz, 0
        resampler = av.AudioResampler(stream.codec_context.format.name, "mono", rate_hz)
        for part in [*resampler.resample(frame), *resampler.resample(None), None]:
            sink.mux(stream.encode(part))
    return path.read_bytes()
