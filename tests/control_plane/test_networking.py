"""What makes a fleet reachable, with the kinds of other projects that it uses.

Their CustomResourceDefinitions come from the folder that `FLAMINGO_CRDS` names, by default
`shared/kube/crds` beside the repository: Gateway API, its inference extension, and Prometheus'
operator.
"""

import itertools
import json
import os
import tempfile
from pathlib import Path

import pytest
import yaml
from control_plane.batch_deployments import BATCH_GOOD
from control_plane.conftest import ROOT, apply_crd, started
from control_plane.network_deployments import NETWORK_GOOD, NETWORKED, REFERENCES
from control_plane.operators import QUICK, wait_until
from documents.selections import GATEWAYS
from fakes.clusters import RELEASE

from flamingo_operator.api import names, spec
from flamingo_operator.cluster.projection import digest_of_live, digest_of_manifest
from flamingo_operator.manifests import owned_objects, router_service

NUM_PLACES = 5
CRDS = Path(os.environ.get("FLAMINGO_CRDS") or ROOT.parent / "shared/kube/crds")
AT_ONCE = {"settleSeconds": 0, "deadlineSeconds": 5}
HERE = "192.0.2.7"
SERVICE_NAME = "kubernetes.io/service-name"


@pytest.fixture(scope="module")
def control_plane():
    """Yield a control plane that serves the other projects' kinds."""
    if not (CRDS / "README.md").is_file():
        pytest.skip(f"no CustomResourceDefinitions of other projects in {CRDS}: set FLAMINGO_CRDS")
    with tempfile.TemporaryDirectory(prefix="fd-") as folder, started(Path(folder) / "k") as made:
        made.output("apply", "--server-side", "-f", str(CRDS))
        apply_crd(made)
        if made.state is None:
            pytest.skip("only an API server: set FLAMINGO_KUBE for controllers")
        yield made


@pytest.mark.parametrize("case", [*NETWORK_GOOD, REFERENCES, *BATCH_GOOD], ids=lambda case: case.id)
def test_every_object_is_accepted_by_the_api_server_and_then_differs_in_nothing(
    control_plane, case
):
    body = case.body
    body["metadata"] |= {"uid": "u-1", "namespace": "default"}
    parsed = spec.parse(body)
    manifests = owned_objects.build_manifests(parsed, RELEASE, 1)
    if parsed.spec.router.service.alias:
        manifests.append(router_service.alias(parsed, []))
    everything = {"apiVersion": "v1", "kind": "List", "items": manifests}
    dry = ("apply", "--server-side", "--dry-run=server", f"--field-manager={names.FIELD_MANAGER}")
    shown = ("-o", "json", "--show-managed-fields", "-f", "-")
    applied = json.loads(control_plane.output(*dry, *shown, body=everything))["items"]
    wanted = {(one["kind"], one["metadata"]["name"]): digest_of_manifest(one) for one in manifests}
    assert {
        (one["kind"], one["metadata"]["name"]): digest_of_live(one) for one in applied
    } == wanted


def test_the_gateways_of_the_documentation_are_accepted(control_plane):
    bodies = [yaml.safe_load(command.text) for command in GATEWAYS.commands()]
    assert bodies
    for body in bodies:
        namespace = body["metadata"]["namespace"]
        control_plane.output("create", "namespace", namespace)
        strict = ("create", "--dry-run=server", "--validate=strict", "-f", "-")
        control_plane.output(*strict, body=body)


def condition(place, kind="Exposed", name="music"):
    found = (one for one in place.status(name).get("conditions", ()) if one["type"] == kind)
    return next(found, {})


def create(place, spec, **more):
    place.create({"replicas": 1, "rollout": QUICK, "drain": AT_ONCE, **spec}, **more)


def report(place, kind, status):
    """Report a status as the object's controller does."""
    patch = f"--patch={json.dumps({'status': status})}"
    place.kubectl("patch", kind, "music", "--subresource=status", "--type=merge", patch)


def test_what_controllers_report_is_in_the_status(place):
    create(
        place, NETWORKED | {"router": {**NETWORKED["router"], "service": {"type": "LoadBalancer"}}}
    )
    place.wait_complete(1)
    wait_until(lambda: condition(place).get("reason") == "AddressPending", "nobody has reported")
    balancer = {"loadBalancer": {"ingress": [{"ip": HERE}]}}
    report(place, "service", balancer)
    report(place, "ingress", balancer)
    wait_until(lambda: condition(place).get("reason") == "RoutePending", "no gateway has reported")
    parents = NETWORKED["router"]["httpRoute"]["parentRefs"]
    accepted = [parent_status(one, "Accepted", "True") for one in parents]
    refused = [accepted[0], parent_status(parents[1], "NotAllowedByListeners", "False")]
    report(place, "httproute", {"parents": refused})
    wait_until(lambda: condition(place).get("reason") == "NotAccepted", "a gateway refuses it")
    assert "Gateway inner does not serve HTTPRoute music: NotAllowed" in condition(place)["message"]
    report(place, "httproute", {"parents": accepted})
    wait_until(lambda: condition(place).get("reason") == "Reachable", "all have accepted")
    assert [one["value"] for one in place.status()["addresses"]] == [
        HERE,
        "audio.example.com/music",
        "*.audio.example.com/music",
        "audio.example.com/music",
    ]
    assert condition(place, "Ready")["status"] == "True"


def parent_status(ref, reason, status):
    accepted = {
        "type": "Accepted",
        "status": status,
        "reason": reason,
        "message": "",
        "observedGeneration": 1,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    return {"parentRef": ref, "controllerName": "a.example/b", "conditions": [accepted]}


def test_what_is_not_asked_for_any_more_is_deleted(place):
    create(place, NETWORKED)
    kinds = "podmonitors,networkpolicies,ingresses,httproutes,inferencepools"
    wait_until(lambda: len(place.get(kinds)["items"]) == 6, "all are there")
    place.change(
        {
            "monitoring": {"podMonitor": {"enabled": False}},
            "networkPolicy": {"enabled": False},
            "inferencePool": None,
            "router": {"ingress": None, "httpRoute": None},
        }
    )
    wait_until(lambda: place.get(kinds)["items"] == [], "none is left")
    wait_until(lambda: condition(place).get("reason") == "AddressPending", "the alias is left")


def test_a_service_changes_its_type_and_back_and_the_class_of_its_load_balancer(place):
    services = [
        {"type": "LoadBalancer", "loadBalancerClass": "a.example/b"},
        {"type": "NodePort", "externalTrafficPolicy": "Local"},
        {"type": "ClusterIP"},
        {"type": "LoadBalancer", "loadBalancerClass": "a.example/c"},
        {"type": "ClusterIP", "ipFamilyPolicy": "PreferDualStack"},
        {"type": "ClusterIP"},
    ]
    none = dict.fromkeys(("loadBalancerClass", "externalTrafficPolicy", "ipFamilyPolicy"))
    create(place, {"router": {"service": services[0]}})
    wait_until(lambda: place.objects().get("Service/music"), "it is created")
    for service in services:
        place.change({"router": {"service": none | service}})
        wait_until(
            lambda wanted=service: has(place.get("services", "music")["spec"], wanted),
            f"it is {service}",
        )
    assert condition(place, "Accepted")["status"] == "True"


def has(found, wanted):
    is_classless = "loadBalancerClass" in wanted or "loadBalancerClass" not in found
    return is_classless and wanted.items() <= found.items()


def alias_of(place):
    """Return which deployment an alias leads to, with the uid and address of its Service."""
    service = place.get("services", "audio")
    holder = service["spec"]["selector"]["flamingo.dev/deployment"]
    return holder, service["metadata"]["uid"], service["spec"]["clusterIP"]


def slices_of(place):
    found = place.get("endpointslices")["items"]
    return [one for one in found if one["metadata"]["labels"].get(SERVICE_NAME) == "audio"]


def routers_behind(slices):
    """Return the deployments whose ready routers an alias leads to."""
    endpoints = [one for each in slices for one in each["endpoints"] or ()]
    ready = [one for one in endpoints if one["conditions"]["ready"]]
    return {one["targetRef"]["name"].partition("-router-")[0] for one in ready}


def is_held(place, name):
    return condition(place, name=name).get("reason") == "Reachable"


def test_an_alias_moves_with_its_address_and_always_has_endpoints(place):
    alias = {"router": {"service": {"alias": "audio"}}}
    create(place, alias, name="old")
    wait_until(lambda: is_held(place, "old"), "it has the alias")
    before = alias_of(place)
    assert place.status("old")["url"] == f"http://audio.{place.namespace}.svc"
    wait_until(lambda: routers_behind(slices_of(place)), "it has endpoints")
    with place.watched("endpointslices", f"{SERVICE_NAME}=audio") as changes:
        create(place, alias, name="new")
        wait_until(lambda: condition(place, name="new").get("reason") == "AliasTaken", "it waits")
        message = condition(place, name="new")["message"]
        assert "FlamingoDeployment old has the alias audio" in message
        assert alias_of(place) == before
        place.change({"router": {"service": {"alias": None}}}, name="old")
        wait_until(lambda: is_held(place, "new"), "it has moved")
        place.delete("fd", "old")
        wait_until(lambda: "Service/old" not in place.objects(), "the old one is gone")
        behind = [routers_behind(slices) for slices in changes()]
    assert [one for one, _ in itertools.groupby(behind)] == [{"old"}, {"new"}]
    assert alias_of(place) == ("new", *before[1:])
    place.change({"router": {"service": {"alias": None}}}, name="new")
    wait_until(lambda: "Service/audio" not in place.objects(), "nobody claims it")
    own = f"http://new.{place.namespace}.svc"
    wait_until(lambda: place.status("new")["url"] == own, "it has its own address")


def test_an_alias_outlives_the_deployment_that_holds_it(place):
    alias = {"router": {"service": {"alias": "audio"}}}
    create(place, alias, name="old")
    wait_until(lambda: is_held(place, "old"), "it has the alias")
    create(place, alias, name="new")
    wait_until(lambda: condition(place, name="new").get("reason") == "AliasTaken", "it waits")
    before = alias_of(place)
    place.delete("fd", "old")
    wait_until(lambda: is_held(place, "new"), "it has moved")
    assert alias_of(place) == ("new", *before[1:])
