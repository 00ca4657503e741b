"""The decode workers: what one bad clip may cost."""

import asyncio
import io
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import soundfile
from clips import hostile, synthesise
from fakes import processes
from fakes.patience import PATIENCE_S

from flamingo_common.errors import AudioTooLong, InvalidAudio
from flamingo_pod.audio import decode, decoder_pool
from flamingo_pod.audio.memory_file import MemoryFile, MemoryFileClosed
from flamingo_pod.audio.reader import Block
from flamingo_pod.audio.sound_file import decode_bytes

LIMITS = decode.DecodeLimits(60)


async def using(scenario, **changes):
    decoders = decoder_pool.DecoderPool(**({"num_workers": 1, "timeout_s": 20.0} | changes))
    try:
        return await scenario(decoders)
    finally:
        decoders.stop()


async def decode_with(decoders, data, limits=LIMITS):
    with MemoryFile() as file:
        file.write(data)
        return (await decoders.decode(file, limits)).samples


@pytest.mark.parametrize("name", ["notes.wav", "notes.m4a", "drums-5.1.flac", "drums.wav"])
def test_every_clip_is_converted_to_mono_at_16_khz(clips, name):
    samples = asyncio.run(using(lambda decoders: decode_with(decoders, clips[name])))
    assert samples.dtype == np.float32
    assert samples.ndim == 1
    assert len(samples) / 16_000 == pytest.approx(1.5 if "notes" in name else 1.0, abs=0.08)
    assert 0.01 < np.abs(samples).max() <= 1.1


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 16_000, 44_101, 96_000, 192_000])
def test_a_tone_keeps_its_pitch_at_any_rate(rate_hz):
    time_s = np.arange(rate_hz) / rate_hz
    tone = np.sin(2 * np.pi * 1000 * time_s).astype(np.float32) * 0.5
    samples = decode_bytes(synthesise.encoded(tone, rate_hz, "WAV", "FLOAT"), 60)
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    assert np.argmax(spectrum) * 16_000 / len(samples) == pytest.approx(1000, abs=2)
    assert np.abs(samples[2000:-2000]).max() == pytest.approx(0.5, rel=0.02)


def test_channels_are_averaged():
    left, right = np.full(16_000, 0.5, np.float32), np.full(16_000, -0.25, np.float32)
    stereo = synthesise.encoded(np.stack([left, right], axis=1), 16_000, "WAV", "FLOAT")
    assert np.allclose(decode_bytes(stereo, 60), 0.125)


def test_the_length_limit_applies_while_decoding():
    silence = synthesise.encoded(np.zeros(3600 * 16_000, np.float32), 16_000, "FLAC")
    assert len(silence) < 200_000, "an hour in a small file"
    with pytest.raises(AudioTooLong, match="60 s"):
        decode_bytes(silence, 60)


def test_a_decoder_over_its_timeout_is_killed_and_the_next_clip_is_decoded(clips):
    silence = synthesise.encoded(np.zeros(3600 * 16_000, np.float32), 16_000, "FLAC")

    async def scenario(decoders):
        await decode_with(decoders, clips["notes.wav"])  # starts the worker
        decoders.timeout_s = 0.001
        with pytest.raises(InvalidAudio, match="decoding the audio took"):
            await decode_with(decoders, silence, decode.DecodeLimits(7200))
        decoders.timeout_s = 20.0
        return len(await decode_with(decoders, clips["notes.wav"]))

    assert asyncio.run(using(scenario)) == 24_000


def test_a_decoder_that_crashes_fails_only_its_own_request(clips):
    async def scenario(decoders):
        await decode_with(decoders, clips["notes.wav"])
        doomed = decoders._pool.schedule(os._exit, args=[11])
        with pytest.raises(decoder_pool.ProcessExpired):
            await asyncio.wrap_future(doomed)
        return len(await decode_with(decoders, clips["notes.wav"]))

    assert asyncio.run(using(scenario)) == 24_000


def test_a_decoder_over_its_cpu_time_is_killed_and_the_next_clip_is_decoded(clips):
    long = hostile.made("mp3", 10) * 700

    async def scenario(decoders):
        with pytest.raises(InvalidAudio, match=r"more than 0\.1 s of CPU time"):
            await decode_with(decoders, long, decode.DecodeLimits(7200))
        decoders.max_cpu_s = 30.0
        return len(await decode_with(decoders, clips["notes.wav"]))

    assert asyncio.run(using(scenario, max_cpu_s=0.1)) == 24_000


def test_a_workers_memory_is_limited(clips):
    # Of the worker's own address space, a part may have become free since the limit was set.
    num_bytes = decoder_pool.MAX_CLIP_BYTES * 5 // 4

    async def scenario(decoders):
        await decode_with(decoders, clips["notes.wav"])
        with pytest.raises(MemoryError):
            await asyncio.wrap_future(decoders._pool.schedule(bytearray, args=[num_bytes]))
        return len(await decode_with(decoders, clips["notes.wav"]))

    assert asyncio.run(using(scenario)) == 24_000


def test_a_pool_that_was_shut_down_is_replaced(clips):
    async def scenario(decoders):
        decoders._pool.stop()
        decoders._pool.join()
        return len(await decode_with(decoders, clips["notes.wav"]))

    assert asyncio.run(using(scenario)) == 24_000


def test_workers_decode_in_parallel(tmp_path):
    meeting = tmp_path / "meeting"
    os.mkfifo(meeting)

    async def scenario(decoders):
        # Opening one end blocks until the other is opened.
        ends = [os.O_RDONLY, os.O_WRONLY]
        jobs = [decoders._pool.schedule(os.open, args=[meeting, end]) for end in ends]
        async with asyncio.timeout(PATIENCE_S):
            return await asyncio.gather(*map(asyncio.wrap_future, jobs))

    assert len(asyncio.run(using(scenario, num_workers=2))) == 2


def test_a_closed_file_is_not_mistaken_for_its_descriptors_next_owner():
    first = MemoryFile()
    gone = first.address
    first.close()
    with MemoryFile() as second:
        second.write(b"another tenant's")
        assert second.address.path == gone.path
        with pytest.raises(MemoryFileClosed):
            gone.open("rb")
    with pytest.raises(MemoryFileClosed):
        gone.open("rb")


def test_the_size_limit_counts_all_channels():
    block = Block(16_000, np.zeros(10, np.float32), decode.MAX_PCM_BYTES // 2)
    assert len([*decode._size_limited([block, block])]) == 2
    with pytest.raises(InvalidAudio, match="4294967296 bytes"):
        [*decode._size_limited([block, block, block])]


def test_a_flac_that_is_too_large_by_its_header_is_refused_before_it_is_decoded():
    file = io.BytesIO()
    soundfile.write(file, np.zeros((4096, 8)), 384_000, format="FLAC", subtype="PCM_24")
    bomb = bytearray(file.getvalue())
    stream_info = int.from_bytes(bomb[18:26]) >> 36 << 36  # without the number of samples
    bomb[18:26] = (stream_info | 20 * 60 * 384_000).to_bytes(8)

    with MemoryFile() as source, MemoryFile() as target:
        source.write(bytes(bomb))
        with pytest.raises(InvalidAudio, match="according to its header"):
            decode.decode_clip(source.address, target.address, decode.DecodeLimits(1200))


def test_a_pod_that_is_killed_leaves_no_worker_behind(clips, tmp_path):
    (tmp_path / "clip.wav").write_bytes(clips["notes.wav"])
    program = textwrap.dedent(
        """
        import asyncio, os, signal, sys
        from flamingo_pod.audio import decode, decoder_pool

        async def main():
            decoders = decoder_pool.DecoderPool(num_workers=1, timeout_s=20)
            pid = decoders._pool.schedule(os.getpid)
            print(await asyncio.wrap_future(pid), flush=True)
            os.kill(os.getpid(), signal.SIGKILL)

        if __name__ == "__main__":
            asyncio.run(main())
        """
    )
    script = tmp_path / "pod.py"
    script.write_text(program)
    # The worker inherits the pipe: it reads as closed only once the worker is gone.
    done = subprocess.run(
        [sys.executable, script], stdout=subprocess.PIPE, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == -9
    assert not processes.is_running(int(done.stdout))
