"""`PYTHONPATH=tests python -m bench.event_loop`: CPU time of the event loop for each token.

Without a model: one thread emits the tokens of 64 sequences, step by step, and the event loop
receives and detokenizes them. Each part is measured as it is and as it was, in turns in one
run, so the ratio does not depend on the machine's load.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

from flamingo_pod.engine.output_stream import Outbox, OutputStream, SequenceHandle
from flamingo_pod.engine.scheduling.sequence import TokenOutput
from flamingo_pod.model.builtin import tokenizer as builtin_tokenizer
from flamingo_pod.text.byte_level import ByteLevelDecoder
from flamingo_pod.text.detokenize import WindowDecoder

NUM_SEQUENCES, NUM_STEPS, NUM_REPEATS = 64, 200, 7
TEXT = "A slow ballad in a minor key with piano, strings and a soft female voice. " * 40


def emit(handles: Sequence[SequenceHandle], *, at_once: bool) -> None:
    """Emit the outputs of all steps, as the engine's thread does."""
    outbox = Outbox()
    for step in range(NUM_STEPS):
        for handle in handles:
            outbox.add(handle, TokenOutput(7, "length" if step == NUM_STEPS - 1 else None))
            if not at_once:
                outbox.flush()
        outbox.flush()


async def receive(*, at_once: bool) -> float:
    """Return the microseconds that the event loop's thread spends on one token."""
    loop = asyncio.get_running_loop()
    handles = [SequenceHandle(0, asyncio.Queue(), loop) for _ in range(NUM_SEQUENCES)]

    async def read(handle: SequenceHandle) -> None:
        async for _ in OutputStream(handle.outputs, {0: handle}, lambda _: None, float("inf")):
            pass

    thread = threading.Thread(target=emit, args=(handles,), kwargs={"at_once": at_once})
    started_s = time.thread_time()
    thread.start()
    await asyncio.gather(*map(read, handles))
    spent_s = time.thread_time() - started_s
    thread.join()
    return spent_s / (NUM_SEQUENCES * NUM_STEPS) * 1e6


def decode(tokenizer: Any, ids: Sequence[int], kind: Callable[[Any], Any]) -> float:
    """Return the microseconds that detokenizing one token takes."""
    decoder, started_s = kind(tokenizer), time.thread_time()
    for token_id in ids:
        decoder.push(token_id)
    return (time.thread_time() - started_s) / len(ids) * 1e6


def show(name: str, before: Callable[[], float], after: Callable[[], float]) -> None:
    """Print a row: both medians, and their ratio."""
    pairs = [(before(), after()) for _ in range(NUM_REPEATS)]
    was, now = (median(column) for column in zip(*pairs, strict=True))
    print(f"| {name} | {was:.1f} | {now:.1f} | {was / now:.1f} |")


def main() -> None:
    tokenizer = builtin_tokenizer.build()
    ids = tokenizer(TEXT, add_special_tokens=False)["input_ids"]
    print("| part | before, µs a token | now | x |")
    print("| --- | ---: | ---: | ---: |")
    show(
        "hand over and receive",
        lambda: asyncio.run(receive(at_once=False)),
        lambda: asyncio.run(receive(at_once=True)),
    )
    show(
        "detokenize",
        lambda: decode(tokenizer, ids, WindowDecoder),
        lambda: decode(tokenizer, ids, ByteLevelDecoder),
    )


if __name__ == "__main__":
    main()
