"""Reading what the CustomResourceDefinition of another release let through."""

import copy

import pytest
from control_plane.batch_deployments import BATCH_UNSEEN
from control_plane.deployments import GOOD, INTERNAL, NIGHT, deployment

from flamingo_operator.api import reading, spec
from flamingo_operator.api.reading import LastSpec
from flamingo_operator.api.spec import SpecError

SCHEDULES = [{**NIGHT, "minReplicas": 1}, {**NIGHT, "name": "day", "minReplicas": 2}]
SCALED = {"scaling": {**INTERNAL, "schedules": SCHEDULES}}


def spec_of(given):
    return deployment(given)["spec"]


def changed(given, *path, value):
    """Return a deployment with a value that this release does not know."""
    body = copy.deepcopy(deployment(given))
    place = body["spec"]
    for step in path[:-1]:
        place = place.setdefault(step, {}) if isinstance(step, str) else place[step]
    place[path[-1]] = value
    return body


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case.id)
def test_what_this_release_knows_is_read_in_full(case):
    """Ignoring unknown fields must not ignore those whose schema is that of core/v1."""
    read = reading.read(case.body)
    assert read.unreadable == ()
    assert read.deployment.spec == spec.parse(case.body).spec
    assert spec.Spec.model_validate_json(
        read.deployment.spec.model_dump_json(by_alias=True, exclude_none=True)
    )


def with_unknown_fields(value):
    """Return a body with a field more in each object of it."""
    if isinstance(value, dict):
        return {key: with_unknown_fields(one) for key, one in value.items()} | {"newField": {}}
    return [with_unknown_fields(one) for one in value] if isinstance(value, list) else value


def test_unknown_fields_are_ignored_wherever_they_are():
    body = deployment({**SCALED, "router": {"service": {"port": 81}}})
    more = {**body, "spec": with_unknown_fields(body["spec"])}
    assert reading.read(more) == reading.read(body)


def test_a_schedule_with_an_unknown_time_zone_is_ignored_and_the_others_hold():
    body = changed(SCALED, "scaling", "schedules", 0, "timeZone", value="Europa/Paris")
    found = reading.read(body)
    assert [one.name for one in found.deployment.spec.scaling.schedules] == ["day"]
    (message,) = found.unreadable
    assert message.startswith("spec.scaling.schedules[0].timeZone: 'Europa/Paris' is not a known")
    assert message.endswith("; this item is ignored")


def test_a_schedule_that_becomes_unreadable_stays_as_it_was():
    body = changed(SCALED, "scaling", "schedules", 1, "timeZone", value="Europa/Paris")
    last = LastSpec(spec_of(SCALED), is_current=True)
    assert reading.read(body, last).deployment == reading.read(deployment(SCALED)).deployment


@pytest.mark.parametrize("name", ["mode", "onSignalLoss"])
def test_a_value_of_a_later_release_is_replaced_by_the_last_one(name):
    body = changed(SCALED, "scaling", name, value="Later")
    last = LastSpec(spec_of(SCALED), is_current=True)
    found = reading.read(body, last)
    assert found.deployment == reading.read(deployment(SCALED)).deployment
    assert not found.holds_objects


def test_an_unreadable_scaling_mode_holds_the_number_after_a_restart():
    body = changed(SCALED, "scaling", "mode", value="Later")
    found = reading.read(body, LastSpec(spec_of({}), num_replicas=7))
    assert (found.deployment.spec.scaling.mode, found.deployment.spec.replicas) == ("External", 7)


def test_without_an_earlier_spec_a_behaviour_has_its_default():
    found = reading.read(changed({}, "rollout", "strategy", value="Later"))
    assert found.deployment.spec.rollout.strategy == "Auto"
    assert found.unreadable[0].endswith("; the default is used")


def test_a_block_of_the_server_pods_stays_as_it_was_as_a_whole():
    before = {"server": {"image": "example.com/pod:1"}}
    body = changed(before, "server", "imagePullPolicy", value="Later")
    body["spec"]["server"]["image"] = "example.com/pod:2"
    found = reading.read(body, LastSpec(spec_of(before)))
    assert found.deployment.spec.server.image == "example.com/pod:1"
    assert not found.holds_objects
    with pytest.raises(SpecError, match=r"spec\.server\.imagePullPolicy"):
        reading.read(body)


def test_objects_whose_block_was_never_read_are_held():
    body = changed({}, "router", "service", "type", value="Later")
    assert reading.read(body, LastSpec(spec_of({}))).holds_objects
    last = LastSpec(spec_of({"router": {"replicas": 3}}), is_current=True)
    found = reading.read(body, last)
    assert (found.deployment.spec.router.replicas, found.holds_objects) == (3, False)


def test_an_overlay_of_batches_that_only_the_operator_refuses_leaves_batches_as_they_are():
    before = {"batches": {"storage": {"size": "1Gi"}}}
    (case, *_) = (one for one in BATCH_UNSEEN if "overlay" in one.id)
    last = LastSpec(spec_of(before), is_current=True)
    found = reading.read(deployment(case.spec), last)
    assert found.deployment.spec.batches.pod_template is None
    assert found.unreadable[0].endswith("spec.batches stays as it was")
    assert not found.holds_objects


def test_a_rule_that_was_not_checked_falls_back_to_the_last_valid_spec():
    body = changed(SCALED, "router", "enabled", value=False)
    found = reading.read(body, LastSpec(spec_of(SCALED), is_current=True))
    assert found.deployment == reading.read(deployment(SCALED)).deployment
    with pytest.raises(SpecError, match="needs the routers"):
        reading.read(body)


def test_several_items_and_blocks_can_be_unreadable_at_once():
    body = changed(SCALED, "scaling", "schedules", 0, "days", value=["Later"])
    body["spec"]["scaling"]["schedules"][1]["timeZone"] = "Mars"
    body["spec"] |= {"cost": {"currency": 1}, "rollout": {"maxSurge": "many"}}
    found = reading.read(body)
    assert found.deployment.spec.scaling.schedules == []
    assert found.deployment.spec.cost is None
    assert len(found.unreadable) >= 4
