"""Who has an alias Service, and when it moves."""

from dataclasses import replace
from typing import Any

import pytest
from control_plane.deployments import deployment

from flamingo_operator.alias_service import decide_alias
from flamingo_operator.api import spec
from flamingo_operator.cluster.actions import Apply, Delete
from flamingo_operator.cluster.aliases import Neighbor
from flamingo_operator.cluster.observed import ObjectRef, Observed, OwnedObject
from flamingo_operator.cluster.projection import digest_of_manifest

ALIAS = {"router": {"service": {"alias": "audio"}}}
OLD = Neighbor("old", "u-old", "audio")


def parsed(given: dict[str, Any] = ALIAS) -> spec.FlamingoDeployment:
    body = deployment(given, name="new")
    body["metadata"]["uid"] = "u-new"
    return spec.parse(body)


def service(holder: str, owner: str, *, name: str = "audio", digest: str = "d") -> OwnedObject:
    ref = ObjectRef("Service", "default", name, "u-service", 7, holder, owner)
    return OwnedObject(ref, digest)


HELD_BY_OLD = Observed(neighbors=(OLD,), foreign_alias=service("old", "u-old"))


def decided(observed: Observed, *, can_serve: bool = True, given=ALIAS):
    return decide_alias(parsed(given), observed, can_serve=can_serve)


def test_an_alias_that_nobody_has_is_created_at_once():
    found = decided(Observed(), can_serve=False)
    (action,) = found.actions
    assert isinstance(action, Apply)
    assert action.is_new
    assert str(action) == "create Service audio"
    assert found.state == "Held"


def test_an_alias_stays_with_the_one_that_claims_it():
    found = decided(HELD_BY_OLD)
    assert (found.state, found.actions) == ("Taken", ())
    assert "remove router.service.alias from it" in found.message


def given_up(**changes: Any) -> Observed:
    """Return what is observed when the holder no longer claims the alias."""
    return replace(HELD_BY_OLD, neighbors=(replace(OLD, alias="", **changes),))


def test_an_alias_that_was_given_up_moves_as_a_whole_when_the_new_one_can_serve():
    (action,) = decided(given_up()).actions
    assert isinstance(action, Apply)
    assert action.replaces == service("old", "u-old").ref
    assert str(action) == "take over Service audio"
    assert action.manifest["metadata"]["ownerReferences"][0]["uid"] == "u-new"
    assert action.manifest["spec"]["selector"]["flamingo.dev/deployment"] == "new"


def test_an_alias_that_was_given_up_waits_for_the_new_one():
    found = decided(given_up(), can_serve=False)
    assert (found.state, found.actions) == ("Waiting", ())


@pytest.mark.parametrize("neighbors", [(), (replace(OLD, is_terminating=True),)])
def test_an_alias_of_a_deleted_deployment_moves_at_once(neighbors):
    found = decided(replace(HELD_BY_OLD, neighbors=neighbors), can_serve=False)
    assert found.state == "Held"
    assert found.concerns_others


def test_the_services_of_a_deployment_itself_are_no_alias():
    observed = Observed(
        neighbors=(Neighbor("audio", "u-audio"),), foreign_alias=service("audio", "u-audio")
    )
    found = decided(observed)
    assert (found.state, found.actions) == ("Taken", ())
    assert "choose another name" in found.message


def test_the_service_of_a_deployment_that_was_orphaned_is_taken_over():
    """So clients of `audio` can move although no alias was planned."""
    observed = Observed(neighbors=(OLD,), foreign_alias=service("audio", ""))
    assert [str(one) for one in decided(observed).actions] == ["take over Service audio"]


def test_a_service_that_the_operator_did_not_make_is_left_alone():
    observed = Observed(foreign_alias=service("other", "", digest=""))
    found = decided(observed)
    assert (found.state, found.actions) == ("Taken", ())


def test_a_claim_of_another_one_is_written_down_and_at_rest_nothing_is():
    ours = service("new", "u-new")
    (action,) = decided(Observed(neighbors=(OLD,), owned={("Service", "audio"): ours})).actions
    assert isinstance(action, Apply)
    owners = [one["uid"] for one in action.manifest["metadata"]["ownerReferences"]]
    assert owners == ["u-new", "u-old"]
    applied = replace(ours, digest=digest_of_manifest(action.manifest))
    observed = Observed(neighbors=(OLD,), owned={("Service", "audio"): applied})
    assert decided(observed).actions == ()


@pytest.mark.parametrize(
    ("neighbors", "is_deleted"), [((OLD,), False), ((replace(OLD, alias=""),), True), ((), True)]
)
def test_an_alias_that_is_not_claimed_is_deleted_unless_another_one_claims_it(
    neighbors, is_deleted
):
    held = {("Service", "audio"): service("new", "u-new")}
    found = decided(Observed(neighbors=neighbors, owned=held), given={})
    assert [isinstance(one, Delete) for one in found.actions] == [True] * is_deleted
    assert found.concerns_others == is_deleted


def test_the_services_of_the_deployment_itself_are_not_given_up():
    own = {("Service", name): service("new", "u-new", name=name) for name in ("new", "new-servers")}
    assert decided(Observed(owned=own), given={}).actions == ()


def test_nothing_is_decided_while_services_cannot_be_listed():
    observed = replace(given_up(), unavailable={"Service": "forbidden"})
    assert decided(observed).actions == ()
