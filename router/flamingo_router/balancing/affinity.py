"""Which pod has which clip cached.

A pod that has encoded a clip keeps its encoder states, and its prompt's keys and values,
for a while, so that a second request about the clip costs only its generation. The `clips` of
a pod's load report are authoritative; a clip that was sent since then counts as cached. A
pod that reports no clips is assumed to have the last ones that it was sent.

Pure: state, but no I/O and no clock.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

MAX_SENT = 2048
"""Clips remembered for one pod."""
MAX_CACHING_DELAY_S = 30.0
"""How long a clip that was sent can be missing in reports: it is uploaded, decoded, encoded."""


@dataclass(slots=True)
class _PodClips:
    epoch: str
    reported: Sequence[str] = ()
    confirmed: frozenset[str] = frozenset()
    sent: OrderedDict[str, float] = field(default_factory=OrderedDict)
    """When each clip was last sent to the pod."""


class Affinity:
    """The clips that each pod is assumed to have cached."""

    def __init__(self) -> None:
        self._pods: dict[str, _PodClips] = {}

    def record_sent(self, address: str, clip: str, *, now_s: float) -> None:
        """Record that the clip was sent to the pod."""
        clips = self._pods.get(address)
        if clips is None:
            clips = self._pods[address] = _PodClips("")
        clips.sent[clip] = now_s
        clips.sent.move_to_end(clip)
        if len(clips.sent) > MAX_SENT:
            clips.sent.popitem(last=False)

    def observe(
        self, address: str, epoch: str, reported: Sequence[str], *, requested_s: float
    ) -> None:
        """Apply the clips of a load report that was requested at `requested_s`."""
        clips = self._pods.get(address)
        if clips is None or clips.epoch not in ("", epoch):
            clips = self._pods[address] = _PodClips(epoch)
        clips.epoch = epoch
        if reported != clips.reported:
            clips.reported, clips.confirmed = reported, frozenset(reported)
        if reported:
            _drop_unconfirmed(clips, requested_s)

    def forget(self, address: str) -> None:
        """Forget a pod that was removed."""
        self._pods.pop(address, None)

    def has_clip(self, address: str, clip: str) -> bool:
        """Return whether the pod is assumed to have the clip cached."""
        clips = self._pods.get(address)
        return clips is not None and (clip in clips.confirmed or clip in clips.sent)

    def pods_with(self, clip: str) -> set[str]:
        """Return the addresses of the pods that are assumed to have the clip cached."""
        return {address for address in self._pods if self.has_clip(address, clip)}


def _drop_unconfirmed(clips: _PodClips, requested_s: float) -> None:
    """Drop sent clips that the pod has had time to cache, and did not report; oldest first."""
    while clips.sent:
        clip, sent_s = next(iter(clips.sent.items()))
        if sent_s > requested_s - MAX_CACHING_DELAY_S:
            return
        del clips.sent[clip]
