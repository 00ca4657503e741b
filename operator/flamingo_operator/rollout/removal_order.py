"""Which pods leave, when some must: those whose leaving costs least.

Not ready before ready; waiting for a node before loading; on a node that is
cordoned or lost; of an old revision; with the least work in flight; the youngest.

Pure.
"""

from collections.abc import Iterable

from flamingo_operator.cluster.observed import Observed, Pod


def in_order(pods: Iterable[Pod], observed: Observed, revision: str) -> list[Pod]:
    """Return `pods`, those that had better leave first."""
    # Of pods created in one second, the last numbers are the youngest.
    by_number = sorted(pods, key=lambda pod: (len(pod.ref.name), pod.ref.name), reverse=True)
    return sorted(by_number, key=lambda pod: _cost(pod, observed, revision))


def _cost(
    pod: Pod, observed: Observed, revision: str
) -> tuple[bool, bool, bool, bool, float, float]:
    node, load = observed.nodes.get(pod.node), observed.loads.get(pod.ref.name)
    return (
        pod.is_ready,
        bool(pod.node),
        node is None or (node.is_ready and not node.is_cordoned),
        pod.revision == revision,
        load.backlog_s if load else float("inf"),
        -pod.created_s,
    )
