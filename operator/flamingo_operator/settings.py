"""Settings of the operator. Each field is a flag and a `FLAMINGO_OPERATOR_*` variable."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import yaml
from pydantic import Field
from pydantic_settings import SettingsConfigDict

from flamingo_common.service.settings import ApiKey, CommaList, ServiceSettings, check_file

RELEASE = "0.1.0"


class Settings(ServiceSettings):
    """Run the Kubernetes operator for FlamingoDeployments."""

    model_config = SettingsConfigDict(env_prefix="FLAMINGO_OPERATOR_")
    GROUPS: ClassVar[Mapping[str, str]] = {
        "namespaces": "Cluster",
        "leader_election": "Leader election",
        "max_concurrent_reconciles": "Reconciliation",
        "observe_key": "Fleets",
    }

    namespaces: CommaList[str] = Field(default=[])
    """Comma-separated namespaces to watch; default: all namespaces."""
    kubeconfig: str | None = None
    """Path of the kubeconfig file; default: the pod's service account."""
    operator_namespace: str | None = None
    """Namespace that the operator runs in, and that its Lease is created in; default: the namespace
    of its pod, or flamingo-system outside of a cluster."""
    leader_election: bool = True
    """Elect a leader among several replicas of the operator."""
    identity: str | None = None
    """Name of this replica in the Lease; default: host name and process id."""
    lease_duration_s: float = Field(default=15.0, ge=1, le=600)
    """Seconds after which a Lease that was not renewed may be acquired by another replica."""
    max_concurrent_reconciles: int = Field(default=16, ge=1, le=256)
    """Maximum number of FlamingoDeployments that are reconciled concurrently."""
    resync_interval_s: float = Field(default=300.0, ge=1, le=86_400)
    """Seconds between reconciliations of every FlamingoDeployment, even without events."""
    discovery_interval_s: float = Field(default=30.0, ge=1, le=3600)
    """Seconds between checks of which optional kinds, such as PodMonitor, the cluster serves."""
    router_poll_interval_s: float = Field(default=5.0, ge=0.1, le=60)
    """Seconds between requests to the routers for the demand, in scaling mode Internal."""
    observe_key: ApiKey | None = None
    """API key with the permission observe, if routers and pods need one. Prefer the environment
    variable: a flag is visible in the process list."""
    server_image: str = f"ghcr.io/flamingo-fleet/pod:{RELEASE}"
    """Image of server pods whose spec does not set spec.server.image."""
    router_image: str = f"ghcr.io/flamingo-fleet/router:{RELEASE}"
    """Image of routers whose spec does not set spec.router.image."""
    batches_image: str = f"ghcr.io/flamingo-fleet/batches:{RELEASE}"
    """Image of batches whose spec does not set spec.batches.image."""
    scraper_namespaces: CommaList[str] = Field(default=["monitoring"])
    """Comma-separated namespaces whose pods may connect to server and router pods to read metrics,
    unless spec.networkPolicy.scrapers is set. An empty list admits none."""

    def check_files(self) -> Iterator[str]:
        """Yield a message for each error in the files that the settings refer to."""
        yield from super().check_files()
        # As in KUBECONFIG, several files can be merged.
        for path in self.kubeconfig.split(os.pathsep) if self.kubeconfig else ():
            yield from check_file("--kubeconfig", Path(path), check_kubeconfig)


def check_kubeconfig(data: bytes) -> None:
    """Check that `data` has the form of a kubeconfig file.

    Raises:
        ValueError: it is not YAML, or not of kind Config.
    """
    try:
        found = yaml.safe_load(data)
    except yaml.YAMLError:
        raise ValueError("the file is not valid YAML") from None
    if not isinstance(found, dict) or "clusters" not in found:
        raise ValueError("the file is not a kubeconfig: it lists no clusters")
