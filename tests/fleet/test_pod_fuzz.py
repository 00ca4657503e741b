"""Thousands of broken files through the real workers: each is decoded, or properly rejected."""

import asyncio
import os

import numpy as np
from clips import hostile
from fakes import tagged_files

from flamingo_common.errors import AudioDamaged, AudioTooLong, InvalidAudio
from flamingo_pod.audio import decoder_pool, sound_file
from flamingo_pod.audio.decode import DecodeLimits
from flamingo_pod.audio.memory_file import MemoryFile

NUM_FILES = int(os.environ.get("FLAMINGO_FUZZED_FILES", "2000"))
AT_ONCE = 8
OTHER_KINDS = [
    ("w64", "pcm_s24le"),
    ("wav", "adpcm_ms"),
    ("wav", "adpcm_ima_wav"),
    ("aiff", "adpcm_ima_qt"),
    ("au", "pcm_mulaw"),
    ("caf", "alac"),
    ("mp4", "flac"),
    ("mov", "pcm_s16be"),
    ("asf", "wmav1"),
    ("mp2", "mp2"),
    ("matroska", "wavpack"),
]


def broken(random, data):
    """Return `data` with bytes changed, cut out, repeated or put in."""
    data = bytearray(data)
    for _ in range(random.integers(1, 12)):
        # Half of all faults hit the headers.
        end = min(len(data), 200) if random.random() < 0.5 else len(data)
        at = int(random.integers(0, end))
        match random.integers(0, 5):
            case 0:
                data[at] = random.integers(0, 256)
            case 1:
                data[at] ^= 1 << int(random.integers(0, 8))
            case 2:
                del data[at : at + int(random.integers(1, 300))]
            case 3:
                data[at:at] = data[at : at + int(random.integers(1, 300))]
            case 4:
                data[at : at + 4] = random.choice([b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff"])
        if len(data) < 2:
            break
    return bytes(data)


async def decode_or_reject(decoders, data):
    """Return the seconds, or the message of the rejection."""
    with MemoryFile() as file:
        file.write(data)
        try:
            return len((await decoders.decode(file, DecodeLimits(5))).samples) / 16_000
        except (InvalidAudio, AudioDamaged, AudioTooLong) as error:
            return error.message


def test_every_broken_file_is_decoded_or_rejected():
    random = np.random.default_rng(int(os.environ.get("FLAMINGO_FUZZ_SEED", "0")))
    whole = [hostile.made(kind, 0.5) for kind in sound_file.FORMATS]
    whole += [hostile.film("mp4"), hostile.film("matroska")]
    covers = [tagged_files.jpeg(300)] * 3
    whole += [make(covers) for make in tagged_files.WITH_PICTURES.values()]
    whole += [tagged_files.encoded(*kind) for kind in OTHER_KINDS]
    whole.append(hostile.made("opus", 0.3) + hostile.made("vorbis", 0.3))
    files = [broken(random, whole[number % len(whole)]) for number in range(NUM_FILES)]

    async def scenario():
        decoders = decoder_pool.DecoderPool(num_workers=2, timeout_s=20, max_cpu_s=5)
        slots = asyncio.Semaphore(AT_ONCE)

        async def one(data):
            async with slots:
                return await decode_or_reject(decoders, data)

        try:
            outcomes = await asyncio.gather(*map(one, files))
            return outcomes, await decode_or_reject(decoders, whole[0])
        finally:
            decoders.stop()

    results, last = asyncio.run(scenario())
    assert last == 0.5, "the workers are as they were"
    assert sum(isinstance(each, float) for each in results) > NUM_FILES / 10, "many can be decoded"
    failed = [
        number
        for number, each in enumerate(results)
        if isinstance(each, str) and ("crashed" in each or "decoding the audio took" in each)
    ]
    assert failed == [], "these killed their worker, or ran until they were stopped"
