"""What a batch would process, and how long a fleet would need, by what its pods have measured.

Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from flamingo.batch.items import Malformed

WINDOW_S = 30.0
"""Of audio, which the encoder processes at once."""


@dataclass
class Survey:
    """Counts of a source."""

    num_items: int = 0
    """To be processed: without those that an earlier run finished."""
    num_done_before: int = 0
    """Items that an earlier run finished."""
    num_failed_before: int = 0
    """Those of them that have failed."""
    num_malformed: int = 0
    num_bytes: int = 0
    """Of the items whose size is known."""
    known_s: float = 0.0
    """Audio of the items whose length the source states."""
    num_known: int = 0
    probed_s: float = 0.0
    """Audio of some of the others, from their headers."""
    num_probed: int = 0
    malformed: list[Malformed] = field(default_factory=list)
    """The first ones."""

    @property
    def audio_s(self) -> float | None:
        """Seconds of audio in all, extrapolated from the clips that were probed; None: unknown."""
        num_others = self.num_items - self.num_known
        if num_others == 0:
            return self.known_s
        if self.num_probed == 0:
            return None
        return self.known_s + self.probed_s * num_others / self.num_probed


@dataclass(frozen=True)
class BatchWork:
    """How much there is to do."""

    audio_s: float
    num_tokens: int
    """To generate."""


@dataclass(frozen=True)
class PodSpeed:
    """What a pod reports; None: it has not measured it yet."""

    window_s: float | None
    """To encode and prefill one window."""
    token_s: float | None
    """To generate one token, as if its sequence ran alone."""


def time_s(work: BatchWork, pods: Sequence[PodSpeed]) -> float | None:
    """Return the time in which the pods would do the work, at most; None if they cannot tell.

    Sequences that are decoded together share steps, so a full pod is faster than this.
    """
    rates = []
    for pod in pods:
        if pod.window_s is None or (work.num_tokens and pod.token_s is None):
            continue
        rates.append(1 / _alone_s(work, pod))
    return 1 / sum(rates) if rates else None


def _alone_s(work: BatchWork, pod: PodSpeed) -> float:
    """Return how long one pod would need for everything."""
    tokens_s = work.num_tokens * (pod.token_s or 0.0)
    return max(work.audio_s / WINDOW_S * (pod.window_s or 0.0) + tokens_s, 1e-9)
