"""In which order pods are removed: those whose removal costs least come first.

Not ready before ready; unscheduled before scheduled; on a cordoned or unready node;
of an outdated revision; with the least work left; the youngest.

Pure.
"""

from collections.abc import Iterable

from flamingo_operator.cluster.observed import Observed, Pod


def removal_order(pods: Iterable[Pod], observed: Observed, revision: str) -> list[Pod]:
    """Return `pods`, the first to remove first; `revision` is the one that is up to date."""
    # Creation times have whole seconds: within one, the higher ordinal is the younger pod.
    by_ordinal = sorted(pods, key=lambda pod: (len(pod.ref.name), pod.ref.name), reverse=True)
    return sorted(by_ordinal, key=lambda pod: _removal_cost(pod, observed, revision))


def _removal_cost(
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
