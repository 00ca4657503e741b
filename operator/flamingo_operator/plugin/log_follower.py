"""The logs of several pods as they are written: a thread for each, one line at a time."""

import queue
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from flamingo_operator.plugin.cluster import Cluster, PluginError


@dataclass(slots=True)
class LogFollower:
    """Some pods' logs, in the order in which their lines arrive."""

    cluster: Cluster
    pods: Sequence[str]
    tail: int
    failed: dict[str, str] = field(default_factory=dict)
    """Pods whose log cannot be read, or broke off, and why."""
    _lines: queue.SimpleQueue[tuple[str, str | None]] = field(default_factory=queue.SimpleQueue)

    def lines(self) -> Iterator[tuple[str, str]]:
        """Yield each line with its pod, until all pods' containers have ended."""
        for pod in self.pods:
            # The process must end at Ctrl-C though a pod says nothing.
            threading.Thread(target=self._follow, args=(pod,), daemon=True).start()
        num_left = len(self.pods)
        while num_left:
            pod, line = self._lines.get()
            if line is None:
                num_left -= 1
            else:
                yield pod, line

    def _follow(self, pod: str) -> None:
        try:
            for line in self.cluster.followed(pod, tail=self.tail):
                self._lines.put((pod, line))
        except PluginError as error:
            self.failed[pod] = str(error)
        finally:
            self._lines.put((pod, None))
