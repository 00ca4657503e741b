"""A model that a Job fetches into a claim before the first server starts."""

import contextlib

import pytest
from cluster import volumes
from cluster.fleets import BASE
from fakes import hub as hubs

from flamingo_pod.model.builtin import build

MODE = "ReadWriteMany"
CLAIM = {
    "size": volumes.SIZE,
    "storageClassName": volumes.STORAGE_CLASS,
    "accessMode": MODE,
}


@pytest.fixture(scope="module")
def hub(cluster, model_cache):
    """Run a hub on the node's address, where pods reach it."""
    with contextlib.ExitStack() as stack:
        made = hubs.FakeHub(build.ensure_built("flamingo-tiny", model_cache))
        running = hubs.running(made, host=cluster.node_address)
        yield cluster.inside(lambda: stack.enter_context(running))


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Return a folder of the node."""
    return tmp_path_factory.mktemp("models")


@pytest.fixture
def claimed(cluster, models):
    """Make a volume by hand; delete it afterwards."""
    cluster.output("create", "-f", "-", body=volumes.volume("models", models, MODE))
    yield
    cluster.output("delete", "persistentvolume", "models", "--wait=false")


def test_a_job_fetches_the_model_once_and_servers_find_it(fleet_in, hub, claimed):
    fleet = fleet_in("preloaded")
    env = [{"name": name, "value": value} for name, value in hub.environ.items()]
    env += BASE["server"]["env"]
    fleet.launch(
        {
            "model": {"id": hub.repo, "revision": "v1"},
            "server": {"env": env},
            "cache": {
                "type": "PersistentVolumeClaim",
                "preload": True,
                "persistentVolumeClaim": CLAIM,
            },
        }
    )
    assert fleet.reason("ModelCached") == "Preloaded"
    (job,) = fleet.get("jobs")["items"]
    assert job["status"]["succeeded"] == 1
    size = (hub.folder / "model.safetensors").stat().st_size
    assert hub.sent["model.safetensors"] == size, "it is fetched once"
