"""Files in memory."""

import asyncio

from fakes.cancelled import waits_for_its_thread

from flamingo_pod.audio.memory_file import MemoryFile


def test_a_hash_is_of_the_bytes_alone():
    async def digest_of(*parts):
        with MemoryFile() as file:
            for part in parts:
                file.write(part)
            return await file.digest()

    whole, in_parts, other = [
        asyncio.run(digest_of(*parts)) for parts in ([b"song"], [b"so", b"ng"], [b"sing"])
    ]
    assert whole == in_parts != other


def test_a_cancelled_hash_has_ended_before_its_file_is_closed():
    async def scenario():
        with MemoryFile() as file:
            file.write(b"song")
            return await waits_for_its_thread(file.digest)

    assert asyncio.run(scenario())
