"""The custom resource, as types: what a user may write, field by field, with every bound.

The CRD is made from these types (`crd.py`), each field's sentence being what
`kubectl explain` says. Its parts are `spec_pod`, `spec_change`, `spec_router`,
`spec_auth`, `spec_schedule` and `spec_cost`.

Left for later, because a field once served cannot be taken back: adapters, a
pod-template overlay.

Pure.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, ValidationError

from flamingo_operator.api import fields, names
from flamingo_operator.api.auth import Auth
from flamingo_operator.api.cost import Cost
from flamingo_operator.api.rollout import DisruptionBudget, DrainSpec, Rollout
from flamingo_operator.api.router import Router
from flamingo_operator.api.rules import Block, Rule, violations
from flamingo_operator.api.scaling import Scaling
from flamingo_operator.api.server import Cache, Gpu, Model, Server


class SpecError(ValueError):
    """The object cannot be what was meant; `faults` has a sentence for each reason."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.errors = faults


class Spec(Block):
    """What the user wants. Only model.id is required."""

    RULES = (
        Rule(
            cel="oldSelf.scaling.mode != 'Internal' || self.scaling.mode != 'Internal'"
            " || self.replicas == oldSelf.replicas",
            message="spec.replicas is not used while scaling.mode is Internal: change"
            " scaling.minReplicas or scaling.maxReplicas, or set scaling.mode to External first",
        ),
        Rule(
            cel="self.scaling.mode != 'Internal' || self.router.enabled",
            message="set router.enabled to true, or scaling.mode to External: the signal for mode"
            " Internal comes from the router",
            holds=lambda self: self.scaling.mode != "Internal" or self.router.enabled,
        ),
        Rule(
            cel="!has(self.pdb) || !has(self.pdb.minAvailable) || self.scaling.mode != 'Internal'"
            " || self.pdb.minAvailable < self.scaling.maxReplicas",
            message="set pdb.minAvailable below scaling.maxReplicas, or no node can ever be"
            " drained",
            holds=lambda self: (
                self.pdb is None
                or self.pdb.min_available is None
                or self.scaling.mode != "Internal"
                or self.pdb.min_available < self.scaling.max_replicas
            ),
        ),
    )

    model: Model
    """The checkpoint that is served."""
    server: Server = Server()
    """The model server."""
    gpu: Gpu = Gpu()
    """The one GPU of each server."""
    replicas: fields.Count = 1
    """Number of servers, in scaling.mode External."""
    scaling: Scaling = Scaling()
    """Who decides the number of servers."""
    rollout: Rollout = Rollout()
    """How servers are replaced."""
    drain: DrainSpec = DrainSpec()
    """How a server leaves."""
    cache: Cache = Cache()
    """Where the model's files are kept."""
    router: Router = Router()
    """The router before the servers."""
    auth: Auth | None = None
    """API keys; default: none are asked for."""
    pdb: DisruptionBudget | None = None
    """The servers' PodDisruptionBudget; default: maxUnavailable 1."""
    topology_spread_constraints: Annotated[list[fields.PodField], Field(max_length=4)] = Field(
        default_factory=list
    )
    """How the servers spread over zones or nodes, as in a pod; labelSelector: these servers."""
    priority_class_name: fields.Name | None = None
    """Priority of the servers' pods."""
    cost: Cost | None = None
    """What a server costs, for the status to add up."""
    mode: Literal["Apply", "Plan"] = "Apply"
    """Plan: say in the status what would be done, and do nothing."""
    suspend: bool = False
    """Drain all servers; keep the cache and the Service."""


class Metadata(Block):
    """What we read of the object's metadata."""

    model_config = ConfigDict(extra="ignore")

    name: str
    namespace: str = "default"
    uid: str | None = None
    generation: int = 0
    annotations: Mapping[str, str] = Field(default_factory=dict)

    @property
    def trusted_nodes(self) -> frozenset[str]:
        """Nodes that a person vouches for; `*` are all."""
        return frozenset(names.split_csv(self.annotations.get(names.TRUSTED_NODES, "")))


class FlamingoDeployment(Block):
    """A fleet of model servers of one checkpoint, behind one address."""

    model_config = ConfigDict(extra="ignore")

    RULES = (
        Rule(
            cel=f"self.metadata.name.size() <= {names.MAX_NAME_CHARS}",
            message=f"choose a name of at most {names.MAX_NAME_CHARS} characters: pods and"
            " services are named after it",
            holds=lambda self: len(self.metadata.name) <= names.MAX_NAME_CHARS,
        ),
        Rule(
            cel=f"self.metadata.name.matches('{names.NAME_PATTERN}')",
            message="choose a name of lower-case letters, digits and dashes that begins with a"
            " letter: a Service is named after it",
            holds=lambda self: names.is_name(self.metadata.name),
        ),
        Rule(
            cel=f"!self.metadata.name.endsWith('{names.SERVERS_SUFFIX}')",
            message=f"choose a name that does not end in {names.SERVERS_SUFFIX}: another"
            " deployment's Service of servers may be called so",
            holds=lambda self: not self.metadata.name.endswith(names.SERVERS_SUFFIX),
        ),
    )

    api_version: Literal["flamingo.dev/v1alpha1"]
    kind: Literal["FlamingoDeployment"]
    metadata: Metadata
    spec: Spec


def parse(body: Mapping[str, Any]) -> FlamingoDeployment:
    """Return the object in `body`, defaults filled in.

    Raises:
        SpecError: lists every fault. Rules between fields are judged once each
            field is right by itself, as the API server does it.
    """
    try:
        deployment = FlamingoDeployment.model_validate(dict(body))
    except ValidationError as error:
        raise SpecError([_fault(fault) for fault in error.errors(include_url=False)]) from None
    faults = list(violations(deployment))
    if faults:
        raise SpecError(faults)
    return deployment


def _fault(fault: Any) -> str:
    path = ""
    for step in fault["loc"]:
        path += f"[{step}]" if isinstance(step, int) else f".{step}"
    return f"{path.removeprefix('.')}: {fault['msg'].removeprefix('Value error, ')}"
