"""The FlamingoDeployment: the types of everything that a user may write.

The CRD is generated from these types (`crd.py`): the docstring of a field is its
description in `kubectl explain`. The blocks of the spec are in `server`, `scaling`,
`schedule`, `rollout`, `router`, `auth` and `cost`.

Pure.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, ValidationError

from flamingo_common.service.comma_list import split_commas
from flamingo_operator.api import fields, names
from flamingo_operator.api.auth import Auth
from flamingo_operator.api.cost import Cost
from flamingo_operator.api.rollout import DisruptionBudget, DrainSpec, Rollout
from flamingo_operator.api.router import Router
from flamingo_operator.api.rules import Block, Rule, violations
from flamingo_operator.api.scaling import Scaling
from flamingo_operator.api.server import Cache, Gpu, Model, Server


class SpecError(ValueError):
    """The object is invalid; `errors` has the path and the message of each error."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("; ".join(errors))
        self.errors = errors


class Spec(Block):
    """spec is the desired state of the FlamingoDeployment. Only model.id is required."""

    RULES = (
        Rule(
            cel="oldSelf.scaling.mode != 'Internal' || self.scaling.mode != 'Internal'"
            " || self.replicas == oldSelf.replicas",
            message="spec.replicas is not used while scaling.mode is Internal: change"
            " scaling.minReplicas or scaling.maxReplicas, or set scaling.mode to External first",
        ),
        Rule(
            cel="self.scaling.mode != 'Internal' || self.router.enabled",
            message="scaling.mode Internal needs the routers, which report the demand: set"
            " router.enabled to true, or scaling.mode to External",
            holds=lambda self: self.scaling.mode != "Internal" or self.router.enabled,
        ),
        Rule(
            cel="!has(self.pdb) || !has(self.pdb.minAvailable) || self.scaling.mode != 'Internal'"
            " || self.pdb.minAvailable < self.scaling.maxReplicas",
            message="pdb.minAvailable must be less than scaling.maxReplicas, or no server pod could"
            " ever be evicted: lower pdb.minAvailable",
            holds=lambda self: (
                self.pdb is None
                or self.pdb.min_available is None
                or self.scaling.mode != "Internal"
                or self.pdb.min_available < self.scaling.max_replicas
            ),
        ),
    )

    model: Model
    """model selects the checkpoint that is served."""
    server: Server = Server()
    """server configures the model server in each pod."""
    gpu: Gpu = Gpu()
    """gpu selects the GPU of each server pod."""
    replicas: fields.Count = 1
    """replicas is the desired number of server pods. It is used in scaling.mode External only."""
    scaling: Scaling = Scaling()
    """scaling determines who sets the number of server pods, and its limits."""
    rollout: Rollout = Rollout()
    """rollout determines how server pods of an old revision are replaced."""
    drain: DrainSpec = DrainSpec()
    """drain determines how a server pod finishes its requests before it is deleted."""
    cache: Cache = Cache()
    """cache determines where the files of the model are kept between starts of server pods."""
    router: Router = Router()
    """router configures the routers in front of the server pods."""
    auth: Auth | None = None
    """auth configures API keys. If unset, requests need no key."""
    pdb: DisruptionBudget | None = None
    """pdb is the PodDisruptionBudget of the server pods. If unset, maxUnavailable is 1."""
    topology_spread_constraints: Annotated[list[fields.PodField], Field(max_length=4)] = Field(
        default_factory=list
    )
    """topologySpreadConstraints determine how the server pods spread across zones or nodes, as in a
    pod. If labelSelector is unset, it selects the server pods of this FlamingoDeployment."""
    priority_class_name: fields.Name | None = None
    """priorityClassName is the PriorityClass of the server pods."""
    cost: Cost | None = None
    """cost is the price of a GPU, from which status.cost is computed."""
    mode: Literal["Apply", "Plan"] = "Apply"
    """mode determines whether the operator makes changes. Apply: it does. Plan: it only writes the
    changes that it would make to status.plan."""
    suspend: bool = False
    """suspend removes all server pods, after they finished their requests. Everything else
    stays."""


class Metadata(Block):
    """Metadata are the fields of the object's metadata that the operator reads."""

    model_config = ConfigDict(extra="ignore")

    name: str
    namespace: str = "default"
    uid: str | None = None
    generation: int = 0
    annotations: Mapping[str, str] = Field(default_factory=dict)

    @property
    def trusted_nodes(self) -> frozenset[str]:
        """Nodes that must not be avoided, by the annotation; `*` stands for all."""
        return frozenset(split_commas(self.annotations.get(names.TRUSTED_NODES, "")))


class FlamingoDeployment(Block):
    """FlamingoDeployment is a fleet of server pods that serve one model behind one address."""

    model_config = ConfigDict(extra="ignore")

    RULES = (
        Rule(
            cel=f"self.metadata.name.size() <= {names.MAX_NAME_CHARS}",
            message=f"metadata.name must have at most {names.MAX_NAME_CHARS} characters, because"
            " pods and Services are named after it",
            holds=lambda self: len(self.metadata.name) <= names.MAX_NAME_CHARS,
        ),
        Rule(
            cel=f"self.metadata.name.matches('{names.NAME_PATTERN}')",
            message="metadata.name must consist of lower-case letters, digits and dashes and must"
            " begin with a letter, because a Service is named after it",
            holds=lambda self: names.is_name(self.metadata.name),
        ),
        Rule(
            cel=f"!self.metadata.name.endsWith('{names.SERVERS_SUFFIX}')",
            message=f"metadata.name must not end with {names.SERVERS_SUFFIX}, which is reserved for"
            " the Service of another FlamingoDeployment's server pods",
            holds=lambda self: not self.metadata.name.endswith(names.SERVERS_SUFFIX),
        ),
    )

    api_version: Literal["flamingo.dev/v1alpha1"]
    kind: Literal["FlamingoDeployment"]
    metadata: Metadata
    spec: Spec


def parse(body: Mapping[str, Any]) -> FlamingoDeployment:
    """Return the object in `body`, with defaults.

    Raises:
        SpecError: lists every error. Rules between fields are evaluated once each
            field is valid by itself, as the API server does it.
    """
    try:
        deployment = FlamingoDeployment.model_validate(dict(body))
    except ValidationError as error:
        raise SpecError([_message(one) for one in error.errors(include_url=False)]) from None
    errors = list(violations(deployment))
    if errors:
        raise SpecError(errors)
    return deployment


def _message(error: Any) -> str:
    path = ""
    for step in error["loc"]:
        path += f"[{step}]" if isinstance(step, int) else f".{step}"
    return f"{path.removeprefix('.')}: {error['msg'].removeprefix('Value error, ')}"
