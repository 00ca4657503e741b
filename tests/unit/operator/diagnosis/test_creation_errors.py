"""Reading the API server's refusals; the messages are those of Kubernetes 1.37."""

from decimal import Decimal

import pytest

from flamingo_operator.diagnosis import causes, creation_errors

QUOTA = (
    'pods "music-1" is forbidden: exceeded quota: cpu, requested: limits.cpu=3,requests.memory=8Gi,'
    " used: limits.cpu=3,requests.memory=1Gi, limited: limits.cpu=4,requests.memory=4Gi"
)
REAL = {
    QUOTA: "QuotaExceeded",
    'exceeded hierarchical quota in namespace "team": "hrq", requested: pods=1, used: pods=1,'
    " limited: pods=1": "QuotaExceeded",
    'pods "a" is forbidden: failed quota: cpu: must specify limits.cpu for: server;'
    " requests.memory for: server": "ResourcesRequired",
    'pods "a" is forbidden: [minimum cpu usage per Container is 50m, but request is 1m, maximum'
    " memory usage per Container is 1Gi, but limit is 2Gi]": "LimitRangeViolated",
    'pods "a" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true'
    ' (pod or container "server" must set securityContext.runAsNonRoot=true)': "AdmissionDenied",
    'pods "a" is forbidden: no PriorityClass with name nope was found': "ConfigMissing",
    'pods "a" is forbidden: error looking up service account a/nope: serviceaccount "nope" not'
    " found": "ConfigMissing",
    'pods "a" is forbidden: pod rejected: RuntimeClass "nope" not found': "ConfigMissing",
    'Pod "a" is invalid: spec.containers[0].resources.requests: Invalid value: "2": must be less'
    " than or equal to cpu limit of 1": "InvalidPod",
    "pods \"a\" is invalid: : ValidatingAdmissionPolicy 'no-x' with binding 'no-x' denied request:"
    " pods need a team label": "AdmissionDenied",
    'admission webhook "team.example.com" denied the request: no team label': "AdmissionDenied",
    'Internal error occurred: failed calling webhook "gone.example.com": failed to call webhook:'
    ' Post "https://127.0.0.1:1/x?timeout=1s": connection refused': "WebhookUnavailable",
    'pods "a" is forbidden: unable to create new content in namespace x because it is being'
    " terminated": "NamespaceTerminating",
    "something else": "CreationFailed",
}


@pytest.mark.parametrize("message", REAL)
def test_a_refusal_has_a_cause_with_a_hint(message):
    cause = creation_errors.classify(message)
    assert cause == REAL[message]
    assert causes.hint(cause, "router")


@pytest.mark.parametrize(
    "message", [one for one in REAL if one.startswith(("pods", "Pod"))], ids=lambda one: one[-30:]
)
def test_the_name_of_the_pod_and_what_tried_to_create_it_are_left_out(message):
    short = creation_errors.shorten(message)
    assert short == creation_errors.shorten(
        f"(combined from similar events): Error creating: {message}"
    )
    assert short == creation_errors.shorten(
        message.replace('"a"', '"b"', 1).replace("music-1", "b", 1)
    )


def test_a_quota_is_met_by_what_the_pods_that_leave_have_of_it():
    excess = creation_errors.quota_excess(QUOTA)
    assert excess is not None
    assert excess.name == "cpu"
    enough = {"limits.cpu": Decimal(3), "requests.memory": Decimal(5 * 2**30)}
    assert excess.is_met_by([enough])
    assert not excess.is_met_by([])
    assert not excess.is_met_by([{**enough, "requests.memory": Decimal(2**30)}])
    assert excess.is_met_by([{**enough, "requests.memory": Decimal(2**30)}, enough])


@pytest.mark.parametrize(
    "message",
    [one for one in REAL if REAL[one] != "QuotaExceeded"]
    + ["exceeded quota: q, requested: pods=x, used: pods=1, limited: pods=1"],
    ids=lambda one: one[-30:],
)
def test_other_refusals_have_no_numbers_of_a_quota(message):
    assert creation_errors.quota_excess(message) is None
