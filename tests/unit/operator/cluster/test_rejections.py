"""Why the API server rejected an object."""

import pytest

from flamingo_operator.cluster.rejections import Rejection, rejection_reason

ACCOUNT = "system:serviceaccount:flamingo-system:operator"
FORBIDDEN = 'pods "music-0" is forbidden: '
CANNOT = f'User "{ACCOUNT}" cannot create resource "pods" in API group "" in the namespace "audio"'
QUOTA = f"{FORBIDDEN}exceeded quota: gpus, requested: requests.nvidia.com/gpu=1, limited: 2"
NO_LIMIT = f"{FORBIDDEN}failed quota: compute: must specify limits.cpu for: server"
WEBHOOK = 'Internal error occurred: failed calling webhook "v.example.com": connection refused'
TERMINATING = f"{FORBIDDEN}unable to create new content because it is being terminated"
GRANT = f'roles "music-router" is forbidden: user "{ACCOUNT}" is attempting to grant RBAC'
POD_SECURITY = f'{FORBIDDEN}violates PodSecurity "restricted:latest": host namespaces'


@pytest.mark.parametrize(
    ("message", "reason", "is_transient"),
    [
        (QUOTA, "QuotaExceeded", True),
        (f"{FORBIDDEN}status unknown for quota: gpus, resources: pods", "QuotaExceeded", True),
        (NO_LIMIT, "Rejected", False),
        (WEBHOOK, "WebhookUnavailable", True),
        (TERMINATING, "NamespaceTerminating", True),
        (f"pods is forbidden: {CANNOT}", "PermissionDenied", False),
        (GRANT, "PermissionDenied", False),
        (f"{FORBIDDEN}no PriorityClass with name nosuch was found", "Rejected", False),
        (POD_SECURITY, "Rejected", False),
        ('admission webhook "v.example.com" denied the request: no', "Rejected", False),
    ],
)
def test_a_rejection_has_its_reason_and_may_pass_by_itself_or_not(message, reason, is_transient):
    found = Rejection(rejection_reason(message), message)
    assert (found.reason, found.is_transient) == (reason, is_transient)
