"""A server as it was observed → why it does not work.

Pure.
"""

import json

from flamingo_operator import failures
from flamingo_operator.failures import Failure
from flamingo_operator.observed import Observed, Pod
from flamingo_operator.spec import Spec


def cause(spec: Spec, observed: Observed, pod: Pod, now_s: float) -> Failure | None:
    """Return why a server does not work; None when it works, starts or leaves as it should."""
    if not pod.troubled:
        return None
    node = observed.nodes.get(pod.node)
    return failures.failure(
        failures.Sight(
            pod=json.loads(pod.troubled),
            now_s=now_s,
            node=node.as_object if node else None,
            gpu=spec.gpu,
            startup_deadline_s=spec.server.startup_deadline_seconds,
        )
    )
