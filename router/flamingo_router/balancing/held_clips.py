"""Which pod holds which clip, so that a request with no more of a clip than its id finds it.

The `held_clips` of a pod's load report are authoritative. What a response has said since that
report was requested is added to it: a client may ask again as soon as it has an id.

Pure: state, but no I/O and no clock.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

MAX_CLIP_NAMES = 16_384


class HeldClip(NamedTuple):
    """A clip that some pod holds."""

    seconds: float
    clip: str
    """Its name, by which pods report that they have its states cached."""


@dataclass(slots=True)
class _HeldAtPod:
    epoch: str
    reported: Mapping[str, float] | None = None
    """None: the pod is of a version that does not say."""
    answered: dict[str, tuple[float, float]] = field(default_factory=dict)
    """The length of clips in responses since the last report, and when those began."""


class HeldClips:
    """The clips that each pod holds, by the names in load reports."""

    def __init__(self) -> None:
        self._pods: dict[str, _HeldAtPod] = {}
        self._clip_names: OrderedDict[str, str] = OrderedDict()

    def record(self, address: str, name: str, held: HeldClip, *, now_s: float) -> None:
        """Record that a pod has answered about a clip, and holds it."""
        pod = self._pods.setdefault(address, _HeldAtPod(""))
        pod.answered[name] = held.seconds, now_s
        self._clip_names[name] = held.clip
        self._clip_names.move_to_end(name)
        if len(self._clip_names) > MAX_CLIP_NAMES:
            self._clip_names.popitem(last=False)

    def observe(
        self, address: str, epoch: str, reported: Mapping[str, float] | None, *, requested_s: float
    ) -> None:
        """Apply a load report that was requested at `requested_s`."""
        pod = self._pods.get(address)
        if pod is None or pod.epoch not in ("", epoch):
            pod = self._pods[address] = _HeldAtPod(epoch)
        pod.epoch, pod.reported = epoch, reported
        pod.answered = {
            name: known for name, known in pod.answered.items() if known[1] > requested_s
        }

    def forget(self, address: str) -> None:
        """Forget a pod that was removed."""
        self._pods.pop(address, None)

    def holders(self, name: str) -> list[str]:
        """Return the addresses of the pods that hold the clip, or that do not say."""
        return [address for address in self._pods if self.holds(address, name)]

    def holds(self, address: str, name: str) -> bool:
        """Return whether the pod holds the clip, or does not say what it holds."""
        pod = self._pods.get(address)
        return pod is not None and (
            pod.reported is None or name in pod.reported or name in pod.answered
        )

    def find(self, name: str) -> HeldClip | None:
        """Return the clip, if its length is known."""
        for pod in self._pods.values():
            seconds = (pod.reported or {}).get(name)
            if seconds is None and name in pod.answered:
                seconds = pod.answered[name][0]
            if seconds is not None:
                return HeldClip(seconds, self._clip_names.get(name, name))
        return None
