"""What a pod counts against quotas."""

from decimal import Decimal

from flamingo_operator.cluster import pod_usage

GI = Decimal(2**30)


def container(cpu=None, memory=None, **more):
    requests = {name: one for name, one in (("cpu", cpu), ("memory", memory)) if one}
    return {"resources": {"requests": requests}, **more}


def test_a_pod_counts_as_one_pod_and_with_the_sum_of_its_containers():
    gpu = {"resources": {"requests": {"nvidia.com/gpu": "1"}, "limits": {"nvidia.com/gpu": "1"}}}
    spec = {"containers": [container("500m", "1Gi"), container("1", "2Gi"), gpu]}
    found = pod_usage.of_pod(spec)
    assert found["pods"] == found["count/pods"] == 1
    assert found["requests.cpu"] == found["cpu"] == Decimal("1.5")
    assert found["memory"] == 3 * GI
    assert found["requests.nvidia.com/gpu"] == found["limits.nvidia.com/gpu"] == 1


def test_an_init_container_that_needs_more_than_the_others_counts():
    spec = {
        "containers": [container("1")],
        "initContainers": [container("200m", restartPolicy="Always"), container("3")],
        "overhead": {"cpu": "100m"},
    }
    assert pod_usage.of_pod(spec)["requests.cpu"] == Decimal("3.3")
    spec["initContainers"] = [container("200m", restartPolicy="Always")]
    assert pod_usage.of_pod(spec)["requests.cpu"] == Decimal("1.3")


def test_the_resources_of_the_whole_pod_take_precedence():
    spec = {"containers": [container("1")], "resources": {"requests": {"cpu": "4"}}}
    assert pod_usage.of_pod(spec)["requests.cpu"] == 4
