"""The operator recognizes why a model could not be loaded by what the pod says at its end."""

import httpx2
import pytest
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RevisionNotFoundError

from flamingo_operator.diagnosis.failures import DiagnosisInputs, diagnose
from flamingo_pod import exit_causes
from flamingo_pod.weights import hub_errors
from flamingo_pod.weights.hub_errors import HubRequest

REQUEST = HubRequest("nvidia/none", "v9", "https://huggingface.co", has_token=False)


def http_error(kind, status):
    url = f"https://huggingface.co/api/models/{REQUEST.model_id}"
    return kind("failed", response=httpx2.Response(status, request=httpx2.Request("GET", url)))


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (http_error(HfHubHTTPError, 404), "ModelNotFound"),
        (http_error(RevisionNotFoundError, 404), "ModelNotFound"),
        (http_error(HfHubHTTPError, 401), "ModelAccessDenied"),
        (http_error(HfHubHTTPError, 403), "ModelAccessDenied"),
        (http_error(GatedRepoError, 403), "ModelAccessDenied"),
        (http_error(HfHubHTTPError, 503), "HubUnreachable"),
        (OSError("no route to host"), "HubUnreachable"),
    ],
    ids=lambda value: value if isinstance(value, str) else repr(value),
)
def test_an_error_of_the_hub_has_its_cause(error, cause):
    explained = hub_errors.explain(REQUEST, error)
    exit_code = int(exit_causes.from_load_error(explained))
    ended = {"terminated": {"exitCode": exit_code, "message": f"{REQUEST.model_id}: {explained}"}}
    container = {"name": "server", "state": {"running": {}}, "lastState": ended}
    status = {"phase": "Running", "containerStatuses": [container]}
    found = diagnose(DiagnosisInputs(pod={"status": status}, now_s=0.0))
    assert found is not None
    assert found.reason == cause
