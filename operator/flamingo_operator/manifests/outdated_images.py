"""Pods whose image is the default of another release of the operator.

The template of server pods is stored with their revision, so an upgrade of the operator does not
restart them, and they keep the default image of the release that stored it. Routers are replaced
by their Deployment as soon as the default changes.

Pure.
"""

from dataclasses import dataclass

from flamingo_operator.api.spec import FlamingoDeployment
from flamingo_operator.cluster.observed import Observed, Revision
from flamingo_operator.manifests.common import Release


@dataclass(frozen=True, slots=True)
class OutdatedPods:
    """How many pods run the default image of another release."""

    num_servers: int = 0
    num_routers: int = 0


def outdated_pods(
    deployment: FlamingoDeployment, observed: Observed, release: Release, update: Revision | None
) -> OutdatedPods:
    """Return how many pods run another default image; those that are being replaced do not count.

    `update` is the spec's revision. Its image may be the default, or named by the spec.
    """
    hash_ = None
    if update is not None and update.image == update.default_image != release.server_image:
        hash_ = update.hash
    routers = observed.routers if deployment.spec.router.image is None else ()
    return OutdatedPods(
        num_servers=sum(pod.is_active and pod.revision == hash_ for pod in observed.pods),
        num_routers=sum(one.image not in ("", release.router_image) for one in routers),
    )
