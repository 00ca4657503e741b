"""The Ingress and the HTTPRoute."""

from control_plane.deployments import deployment
from control_plane.network_deployments import NETWORKED

from flamingo_operator.api import spec
from flamingo_operator.manifests import common, routes

GATEWAY = {"group": "gateway.networking.k8s.io", "kind": "Gateway"}


def made(**router):
    found = routes.routes(spec.parse(deployment({"router": router})))
    return {one["kind"]: one for one in common.without_empty(found)}


def test_without_either_block_there_is_neither():
    assert made() == {}


def test_an_ingress_leads_each_host_to_the_service_with_its_certificate():
    ingress = made(ingress=NETWORKED["router"]["ingress"])["Ingress"]
    hosts = ["audio.example.com", "*.audio.example.com"]
    assert ingress["spec"]["ingressClassName"] == "nginx"
    assert ingress["spec"]["tls"] == [{"hosts": hosts, "secretName": "audio-tls"}]
    backend = {"service": {"name": "music", "port": {"name": "http"}}}
    path = {"path": "/music", "pathType": "ImplementationSpecific", "backend": backend}
    assert ingress["spec"]["rules"] == [{"host": host, "http": {"paths": [path]}} for host in hosts]
    assert ingress["metadata"]["annotations"] == {
        "nginx.ingress.kubernetes.io/proxy-body-size": "0"
    }


def test_an_ingress_without_hosts_serves_every_host():
    (rule,) = made(ingress={})["Ingress"]["spec"]["rules"]
    assert "host" not in rule
    assert rule["http"]["paths"][0]["path"] == "/"


def test_a_route_attaches_to_its_gateways_and_removes_its_path():
    route = made(httpRoute=NETWORKED["router"]["httpRoute"])["HTTPRoute"]
    assert route["spec"]["parentRefs"] == [
        {**GATEWAY, "name": "edge", "namespace": "gateways", "sectionName": "https"},
        {**GATEWAY, "name": "inner", "port": 80},
    ]
    (rule,) = route["spec"]["rules"]
    assert rule["timeouts"] == {"request": "0s", "backendRequest": "30m"}
    (backend,) = rule["backendRefs"]
    assert (backend["name"], backend["port"]) == ("music", 80)
    (rewrite,) = rule["filters"]
    assert rewrite["urlRewrite"]["path"]["replacePrefixMatch"] == "/"


def test_a_route_to_the_root_changes_no_path():
    route = made(httpRoute={"parentRefs": [{"name": "edge"}]})["HTTPRoute"]
    assert "filters" not in route["spec"]["rules"][0]
