"""The container of batches that the operator creates, with the settings of the program in it."""

import pytest
from contract.test_manifests import KEY, Manifests
from control_plane.batch_deployments import AUTH, EVERYTHING, STORAGE
from fakes.clusters import RELEASE, Cluster

from flamingo_batches.settings import Settings
from flamingo_common.service import auth, keys
from flamingo_common.service.sent_key import parse_sent_key
from flamingo_operator.api import batches as api_batches
from flamingo_operator.api.names import COMPONENT_LABEL
from flamingo_operator.manifests import batches, owned_objects
from flamingo_router.settings import Settings as RouterSettings

NAME = "batches"
SPECS = {
    "SQLite on a claim": {"batches": {"storage": STORAGE}},
    "everything, with API keys": {"batches": EVERYTHING, "auth": AUTH},
    "all at their maximum": {
        "batches": {
            "storage": STORAGE,
            "limits": {
                "maxFileSize": "100Gi",
                "maxStoredSizePerKey": "10Ti",
                "maxActiveBatchesPerKey": 100_000,
                "maxRunningBatches": 100,
                "maxConcurrency": 4096,
            },
        }
    },
}


@pytest.fixture(params=SPECS)
def manifests(request, tmp_path):
    owned = owned_objects.build_manifests(Cluster.of(SPECS[request.param]).deployment, RELEASE, 2)
    pods = {
        one["metadata"]["labels"][COMPONENT_LABEL]: one["spec"]["template"]["spec"]
        for one in owned
        if one["kind"] == "Deployment"
    }
    return Manifests(pods, owned, tmp_path)


def test_the_program_accepts_its_flags_and_has_its_grace_period(manifests):
    given = manifests.settings(NAME, Settings)
    hook = manifests.container(NAME)["lifecycle"]["preStop"]["sleep"]
    least_s = hook["seconds"] + given.grace_period_s
    assert least_s < manifests.pods[NAME]["terminationGracePeriodSeconds"] < least_s + 30
    assert (given.host, given.port) == ("::", 8000)


def test_routers_and_batches_know_each_other_s_service(manifests):
    services = {
        f"http://{one['metadata']['name']}.{one['metadata']['namespace']}.svc": one["spec"]
        for one in manifests.owned
        if one["kind"] == "Service"
    }
    addresses = {
        NAME: manifests.settings("router", RouterSettings).batches_url,
        "router": manifests.settings(NAME, Settings).server_url,
    }
    for component, address in addresses.items():
        assert services[address]["selector"][COMPONENT_LABEL] == component
        assert services[address]["ports"][0]["port"] == 80


@pytest.mark.parametrize("manifests", ["SQLite on a claim"], indirect=True)
def test_limits_that_a_user_does_not_set_are_the_program_s_own(manifests):
    given, default = manifests.settings(NAME, Settings), Settings(_cli_parse_args=[])
    limits = {name for name in Settings.model_fields if name.startswith("max_")}
    assert {name: getattr(given, name) for name in limits} == {
        name: getattr(default, name) for name in limits
    }


def test_users_must_not_set_the_flags_that_the_operator_sets(manifests):
    given = {one.partition("=")[0] for one in EVERYTHING["args"]}
    flags = {arg.partition("=")[0] for arg in manifests.container(NAME)["args"]} - given
    assert flags <= {*api_batches.OPERATOR_FLAGS}
    prefix = Settings.model_config["env_prefix"]
    assert f"{prefix}DATABASE_URL" == batches.DATABASE_VARIABLE


def test_users_must_not_use_the_names_and_paths_of_the_operator_s_volumes(manifests):
    mounts = {
        one["name"]: one["mountPath"]
        for one in manifests.container(NAME)["volumeMounts"]
        if one["name"] != "certificates"
    }
    assert mounts.items() <= api_batches.MOUNTS.items()
    volumes = {one["name"] for one in manifests.pods[NAME]["volumes"]} - {"certificates"}
    assert volumes == mounts.keys()


def test_probes_use_public_routes(manifests):
    container = manifests.container(NAME)
    paths = {kind: probe["httpGet"]["path"] for kind, probe in container.items() if "Probe" in kind}
    assert set(paths.values()) <= auth.PUBLIC_ROUTES
    assert paths["livenessProbe"] == paths["startupProbe"] == "/health/live"
    assert paths["readinessProbe"] == "/health/ready"


def test_callers_need_a_key_of_the_file_and_the_routers_get_one_if_and_only_if_there_is_auth(
    manifests,
):
    given = manifests.settings(NAME, Settings)
    has_auth = "keys" in {one["name"] for one in manifests.pods[NAME]["volumes"]}
    assert bool(given.key_file) == bool(given.server_key_file) == has_auth
    if has_auth:
        assert keys.parse(given.key_file.read_bytes()).find(KEY.encode())
        assert parse_sent_key(given.server_key_file.read_bytes()).get_secret_value() == KEY
