"""Who is told of changes of an alias, and what they see of it."""

import pytest
from fakes.operator_inputs import KEY

from flamingo_operator.cluster.aliases import Neighbor
from flamingo_operator.cluster.store import Store

OLD = "default/old"


@pytest.fixture
def changed():
    return []


@pytest.fixture
def store(changed):
    """Return a store with a deployment `old` that holds the alias which `music` claims, too."""
    made = Store(on_change=changed.append)
    made.put_resource(resource("old", alias="audio"))
    made.put(service("audio", "old"), "Service")
    made.put_resource(resource("music", alias="audio"))
    made.put_resource(resource("bystander"))
    made.put_resource(resource("elsewhere", namespace="other", alias="audio"))
    changed.clear()
    return made


def resource(name, *, namespace="default", alias=None, version=1):
    router = {"service": {"alias": alias}} if alias else {}
    metadata = {"name": name, "namespace": namespace, "uid": f"u-{namespace}-{name}"}
    spec = {"model": {"id": "m"}, "router": router}
    return {"metadata": metadata | {"resourceVersion": str(version)}, "spec": spec}


def service(name, holder, *, version=5):
    metadata = {
        "name": name,
        "namespace": "default",
        "uid": f"u-{name}",
        "resourceVersion": str(version),
        "labels": {"flamingo.dev/deployment": holder},
        "ownerReferences": [{"uid": f"u-default-{holder}", "controller": True}],
    }
    return {"metadata": metadata, "spec": {}}


def test_a_claimant_sees_the_service_and_the_others_of_its_namespace(store):
    seen = store.observed(KEY, "u-default-music")
    assert seen.foreign_alias.ref.deployment == "old"
    assert seen.neighbors == (
        Neighbor("old", "u-default-old", "audio"),
        Neighbor("bystander", "u-default-bystander"),
    )


def test_a_holder_sees_the_claimants_and_who_has_no_alias_sees_nobody(store):
    holder = store.observed(OLD, "u-default-old")
    assert Neighbor("music", "u-default-music", "audio") in holder.neighbors
    assert holder.foreign_alias is None
    assert store.observed("default/bystander", "u-default-bystander").neighbors == ()


def test_claimants_are_told_that_the_holder_gives_the_alias_up(store, changed):
    store.put_resource(resource("old", version=2))
    assert changed == [OLD, KEY]


def test_claimants_are_told_that_the_holder_is_deleted(store, changed):
    store.drop_resource(resource("old"))
    assert changed == [OLD, KEY]


def test_the_holder_is_told_that_a_claim_is_made_or_withdrawn(store, changed):
    store.put_resource(resource("old", version=2))
    changed.clear()
    store.put_resource(resource("music", version=2))
    assert changed == [KEY, OLD]


def test_claimants_are_told_of_changes_of_the_service(store, changed):
    store.drop(store.observed(KEY, "").foreign_alias.ref)
    assert changed == [OLD, KEY]
    changed.clear()
    store.put(service("audio", "music", version=9), "Service")
    assert changed == [KEY, OLD]


def test_who_has_nothing_to_do_with_an_alias_is_not_told(store, changed):
    store.put_resource(resource("bystander", version=2))
    assert changed == ["default/bystander"]
