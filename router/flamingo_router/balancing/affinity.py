"""Which pod holds which clip: what was sent there, until the pod says better.

A pod that has encoded a clip keeps its states, and its prompt's keys and values, for
a while; a further question about it costs only the answer. What a pod says of its
cache (`clips` of its report) is true; what we sent since counts as held.
A pod that says nothing of its cache is believed to hold the last clips it was sent.

Pure: state, but no I/O and no clock.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

MAX_PLACED = 2048
"""Clips remembered for one pod."""


@dataclass(slots=True)
class _Held:
    epoch: str
    told: Sequence[str] = ()
    confirmed: frozenset[str] = frozenset()
    placed: OrderedDict[str, float] = field(default_factory=OrderedDict)
    """By clip: when it was last sent there."""


class Affinity:
    """See the module."""

    def __init__(self) -> None:
        self._pods: dict[str, _Held] = {}

    def place(self, address: str, clip: str, *, now_s: float) -> None:
        """Note that the clip was sent to the pod."""
        held = self._pods.get(address)
        if held is None:
            held = self._pods[address] = _Held("")
        held.placed[clip] = now_s
        held.placed.move_to_end(clip)
        if len(held.placed) > MAX_PLACED:
            held.placed.popitem(last=False)

    def observe(self, address: str, epoch: str, clips: Sequence[str], *, asked_s: float) -> None:
        """Take in what the pod said of its cache, asked at `asked_s`."""
        held = self._pods.get(address)
        if held is None or held.epoch not in ("", epoch):
            held = self._pods[address] = _Held(epoch)
        held.epoch = epoch
        if clips != held.told:
            held.told, held.confirmed = clips, frozenset(clips)
        if clips:
            _settle(held, asked_s)

    def forget(self, address: str, clip: str | None = None) -> None:
        """Forget a pod that is gone, or one clip that it turned out not to have."""
        if clip is None:
            self._pods.pop(address, None)
        elif address in self._pods:
            self._pods[address].placed.pop(clip, None)

    def holds(self, address: str, clip: str) -> bool:
        """Whether the pod is believed to hold the clip."""
        held = self._pods.get(address)
        return held is not None and (clip in held.confirmed or clip in held.placed)

    def holders(self, clip: str) -> set[str]:
        """Return the pods that are believed to hold the clip."""
        return {address for address in self._pods if self.holds(address, clip)}


GRACE_S = 30.0
"""A clip is not in a pod's cache before it was uploaded, decoded and encoded."""


def _settle(held: _Held, asked_s: float) -> None:
    """Drop what the pod has had time to hold and does not; the oldest stand first."""
    while held.placed:
        clip, sent_s = next(iter(held.placed.items()))
        if sent_s > asked_s - GRACE_S:
            return
        del held.placed[clip]
