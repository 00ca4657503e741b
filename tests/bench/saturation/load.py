"""Keeps a pod saturated: `python load.py ADDRESS`, until standard input ends.

It sends what is expensive for some part of the pod: long clips as base64 in JSON and as forms,
embeddings as numbers, prompts of many thousand characters, many streams that decode.
"""

import asyncio
import base64
import io
import sys

import aiohttp
import numpy as np
import soundfile

CLIP_S = 300


def clip(seed):
    """Return a clip that is not cached anywhere, as FLAC."""
    samples = np.random.default_rng(seed).standard_normal(CLIP_S * 16_000) * 0.1
    file = io.BytesIO()
    soundfile.write(file, samples.astype(np.float32), 16_000, format="FLAC")
    return file.getvalue()


async def chat(session, seed, **fields):
    body = {"messages": [{"role": "user", "content": f"Sing {seed}"}], "max_tokens": 400, "n": 2}
    await post(session, "/v1/chat/completions", json=body | {"stream": True} | fields)


async def long_prompt(session, seed):
    words = f"{seed} a song of many words " * 1000
    body = {"messages": [{"role": "user", "content": words}], "max_tokens": 8}
    await post(session, "/v1/chat/completions", json=body)


async def embedding(session, seed):
    form = aiohttp.FormData({"encoding_format": "float"})
    form.add_field("file", await asyncio.to_thread(clip, seed), filename="clip.flac")
    await post(session, "/v1/audio/embeddings", data=form)


async def caption(session, seed):
    data = base64.b64encode(await asyncio.to_thread(clip, seed)).decode()
    await post(session, "/v1/audio/captions", json={"audio": {"data": data}, "max_tokens": 64})


async def post(session, path, **body):
    async with session.post(path, **body) as answer:
        answer.raise_for_status()
        async for _ in answer.content.iter_chunked(1 << 16):
            pass


async def repeat(send, session, number):
    seed = number
    while True:
        await send(session, seed)
        seed += 1000


async def main(address):
    senders = [chat] * 12 + [long_prompt, embedding, caption]
    async with aiohttp.ClientSession(address) as session:
        tasks = [asyncio.create_task(repeat(send, session, n)) for n, send in enumerate(senders)]
        ended = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        await asyncio.wait([*tasks, ended], return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if not isinstance(result, asyncio.CancelledError):
                raise result


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
