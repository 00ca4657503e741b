"""Follows the logs of several pods: one thread for each, one line at a time."""

import queue
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from flamingo_operator.plugin.cluster import Cluster, PluginError


@dataclass(slots=True)
class LogFollower:
    """The logs of some pods, in the order in which their lines arrive."""

    cluster: Cluster
    pods: Sequence[str]
    tail: int
    """Last lines of each pod to start with."""
    failed: dict[str, str] = field(default_factory=dict)
    """Pods whose log cannot be read, or was interrupted, and why."""
    _lines: queue.SimpleQueue[tuple[str, str | None]] = field(default_factory=queue.SimpleQueue)

    def lines(self) -> Iterator[tuple[str, str]]:
        """Yield each line with its pod, until the containers of all pods have ended."""
        for pod in self.pods:
            # Daemon threads: Ctrl-C must end the process even if a pod writes nothing.
            threading.Thread(target=self._follow, args=(pod,), daemon=True).start()
        num_open = len(self.pods)
        while num_open:
            pod, line = self._lines.get()
            if line is None:
                num_open -= 1
            else:
                yield pod, line

    def _follow(self, pod: str) -> None:
        try:
            for line in self.cluster.follow_log(pod, tail=self.tail):
                self._lines.put((pod, line))
        except PluginError as error:
            self.failed[pod] = str(error)
        finally:
            self._lines.put((pod, None))
