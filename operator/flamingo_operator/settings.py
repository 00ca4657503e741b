"""How the operator behaves. Each field is a flag and a `FLAMINGO_OPERATOR_*` variable."""

from typing import Annotated

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from flamingo_common.service.settings import ServiceSettings

RELEASE = "0.1.0"


class Settings(ServiceSettings):
    """How the operator behaves."""

    model_config = SettingsConfigDict(env_prefix="FLAMINGO_OPERATOR_")

    namespaces: Annotated[list[str], NoDecode] = Field(default=[])
    """Namespaces that are looked after, comma separated; none means all of the cluster."""
    kubeconfig: str | None = None
    """File that says where the API server is; default: the pod's own service account."""
    operator_namespace: str = "flamingo-system"
    """Namespace that the operator runs in; its Lease is there."""
    leader_election: bool = True
    """Whether several replicas may run, one of which leads."""
    identity: str | None = None
    """Name of this replica in the Lease; default: the host's name."""
    lease_duration_s: float = Field(default=15.0, ge=1, le=600)
    """Seconds after which a leader that does not renew its Lease has lost it."""
    max_concurrent_reconciles: int = Field(default=16, ge=1, le=256)
    """Deployments that are looked at together."""
    resync_interval_s: float = Field(default=300.0, ge=1, le=86_400)
    """Seconds between two looks at everything, though nothing was heard of it."""
    router_poll_interval_s: float = Field(default=5.0, ge=0.1, le=60)
    """Seconds between two questions to the routers of a deployment that scales by itself."""
    observe_key: SecretStr | None = None
    """API key that may observe, where routers and pods ask for one. Give the variable: a flag shows
    in the process list."""
    server_image: str = f"ghcr.io/flamingo-fleet/pod:{RELEASE}"
    """Image of servers whose spec names none."""
    router_image: str = f"ghcr.io/flamingo-fleet/router:{RELEASE}"
    """Image of routers whose spec names none."""

    @field_validator("namespaces", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return [part for part in value.split(",") if part] if isinstance(value, str) else value
