"""Diagnose an observed server pod.

Pure.
"""

import json

from flamingo_operator.api.spec import Spec
from flamingo_operator.cluster.observed import Observed, Pod
from flamingo_operator.diagnosis import failures
from flamingo_operator.diagnosis.failures import Failure


def diagnose_pod(spec: Spec, observed: Observed, pod: Pod, now_s: float) -> Failure | None:
    """Return why a server pod does not work; None if it works, starts or terminates normally."""
    if not pod.diagnosis_json:
        return None
    node = observed.nodes.get(pod.node)
    return failures.diagnose(
        failures.DiagnosisInputs(
            pod=json.loads(pod.diagnosis_json),
            now_s=now_s,
            node=node.as_object if node else None,
            gpu=spec.gpu,
            startup_deadline_s=spec.server.startup_deadline_seconds,
        )
    )
