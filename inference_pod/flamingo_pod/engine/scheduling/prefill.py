"""What a step computes of prompts: chunks of their tokens, and the windows that these need.

Windows are encoded just ahead of the prefill that needs them, so the language model starts on the
beginning of a clip while its end is still to be encoded.

Pure.
"""

from collections import abc
from dataclasses import dataclass
from typing import NamedTuple

from flamingo_pod.engine.scheduling.sequence import Sequence
from flamingo_pod.engine.scheduling.step_plan import Chunk, WindowJob


class PromptRoom(NamedTuple):
    """How much of the prompts of one kind a step may compute."""

    num_tokens: int
    num_windows: int


NO_ROOM = PromptRoom(0, 0)


@dataclass(frozen=True, slots=True)
class StepRoom:
    """How much of all prompts a step may compute: of live requests, and of low priority."""

    live: PromptRoom
    low: PromptRoom = NO_ROOM

    def of(self, sequence: Sequence) -> PromptRoom:
        """Return the room for prompts like that of `sequence`."""
        return self.low if sequence.is_low else self.live


def chunks_of(prompts: abc.Iterable[Sequence], room: StepRoom) -> list[Chunk]:
    """Return the next chunks of `prompts`, in this order."""
    chunks: list[Chunk] = []
    left = {True: room.low.num_tokens, False: room.live.num_tokens}
    prefixes: set[int] = set()
    for sequence in prompts:
        if left[sequence.is_low] <= 0:
            continue
        prefix = sequence.prefix
        if prefix is not None and not prefix.is_computed:
            if id(prefix) in prefixes:
                continue  # another sequence computes it in this very step
            prefixes.add(id(prefix))
        chunk = _next_chunk(sequence, left[sequence.is_low])
        if chunk is not None:
            chunks.append(chunk)
            left[sequence.is_low] -= chunk.num_tokens
    return chunks


def windows_of(
    prompts: abc.Iterable[Sequence], room: StepRoom, *, is_idle: bool
) -> list[WindowJob]:
    """Return windows to encode: just enough that prefill never waits for them.

    More if the step `is_idle`, with nothing else to compute.
    """
    jobs: list[WindowJob] = []
    num_jobs, num_ahead = {True: 0, False: 0}, {True: 0, False: 0}
    prefixes: set[int] = set()
    for sequence in prompts:
        prefix, is_low, allowed = sequence.prefix, sequence.is_low, room.of(sequence)
        if prefix is None or prefix.is_computed or id(prefix) in prefixes:
            continue
        prefixes.add(id(prefix))
        num_ahead[is_low] += prefix.num_ready - prefix.num_computed
        for index in range(prefix.num_windows_ready, len(prefix.window_tokens)):
            is_enough = num_ahead[is_low] >= 2 * allowed.num_tokens and not is_idle
            if num_jobs[is_low] >= allowed.num_windows or is_enough:
                break
            jobs.append(WindowJob(sequence, prefix, index))
            num_jobs[is_low] += 1
            num_ahead[is_low] += prefix.window_tokens[index]
    return jobs


def _next_chunk(sequence: Sequence, budget: int) -> Chunk | None:
    """Return the next tokens of a prompt that can be computed, at most `budget` of them.

    A chunk ends with the prefix: what follows is in another extent, and other sequences may be
    waiting for the prefix.
    """
    prefix, start = sequence.prefix, sequence.num_computed
    if prefix is not None and not prefix.is_computed:
        stop = min(prefix.num_ready, start + budget)
    else:
        stop = min(sequence.num_tokens, start + budget)
    return Chunk(sequence, start, stop) if stop > start else None
