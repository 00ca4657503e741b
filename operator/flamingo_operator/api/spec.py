"""The FlamingoDeployment: the types of everything that a user may write.

The CRD is generated from these types (`crd.py`): the docstring of a field is its
description in `kubectl explain`. Each block of the spec is in the file of its name.

Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ConfigDict, Field, ValidationError

from flamingo_common.service.comma_list import split_commas
from flamingo_operator.api import fields, names, pod_overlay
from flamingo_operator.api.auth import Auth
from flamingo_operator.api.batches import Batches
from flamingo_operator.api.cache import Cache
from flamingo_operator.api.core_field import IGNORES_UNKNOWN
from flamingo_operator.api.cost import Cost
from flamingo_operator.api.gpu import Gpu
from flamingo_operator.api.inference_pool import InferencePool
from flamingo_operator.api.model import Model
from flamingo_operator.api.monitoring import Monitoring
from flamingo_operator.api.network_policy import NetworkPolicy
from flamingo_operator.api.rollout import DrainSpec, Rollout
from flamingo_operator.api.router import Router
from flamingo_operator.api.rules import Block, Path, Rule, path_text, violated_rules
from flamingo_operator.api.scaling import Scaling
from flamingo_operator.api.server import Server


class SpecError(ValueError):
    """The object is invalid; `errors` has the path and the message of each error."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("; ".join(errors))
        self.errors = errors


def _lets_a_server_pod_be_evicted(spec: "Spec") -> bool:
    pdb = spec.server.pdb
    if pdb is None or pdb.min_available is None or spec.scaling.mode != "Internal":
        return True
    if isinstance(pdb.min_available, str):
        return pdb.min_available != "100%"
    return pdb.min_available < spec.scaling.max_replicas


_OVERLAY = "self.server.podTemplate"
_GPU_IN_OVERLAY = Rule(
    # For the usual name there is a rule of the overlay.
    cel=f"self.gpu.resourceName == '{pod_overlay.GPU}' || !has({_OVERLAY}) || !has({_OVERLAY}.spec)"
    f" || !has({_OVERLAY}.spec.containers) || {_OVERLAY}.spec.containers.all(c, !has(c.resources)"
    " || (!has(c.resources.requests) || !(self.gpu.resourceName in c.resources.requests))"
    " && (!has(c.resources.limits) || !(self.gpu.resourceName in c.resources.limits)))",
    message="server.podTemplate must not contain gpu.resourceName, which the operator requests for"
    " each server pod: remove it",
    field_path=".server.podTemplate",
    holds=lambda self: (
        self.gpu.resource_name == pod_overlay.GPU
        or not pod_overlay.requests(self.server.pod_template, self.gpu.resource_name)
    ),
)


class Spec(Block):
    """spec is the desired state of the FlamingoDeployment. Only model.id is required."""

    RULES = (
        _GPU_IN_OVERLAY,
        Rule(
            cel="oldSelf.scaling.mode != 'Internal' || self.scaling.mode != 'Internal'"
            " || self.replicas in [oldSelf.replicas, 1]",
            message="spec.replicas is not used while scaling.mode is Internal: change"
            " scaling.minReplicas or scaling.maxReplicas, or set scaling.mode to External first",
            field_path=".replicas",
        ),
        Rule(
            cel="self.scaling.mode != 'Internal' || self.router.enabled",
            message="scaling.mode Internal needs the routers, which report the demand: set"
            " router.enabled to true, or scaling.mode to External",
            field_path=".router.enabled",
            holds=lambda self: self.scaling.mode != "Internal" or self.router.enabled,
        ),
        Rule(
            cel="!has(self.batches) || self.router.enabled",
            message="batches need the routers, which clients call and which send the requests of a"
            " batch to server pods: set router.enabled to true, or remove batches",
            field_path=".router.enabled",
            holds=lambda self: self.batches is None or self.router.enabled,
        ),
        Rule(
            cel="!has(self.batches) || !has(self.auth) || has(self.auth.batchesKeySecretRef)",
            message="batches need auth.batchesKeySecretRef, the API key with which they send"
            " requests to the routers: add it, and list the key in the key file",
            field_path=".auth",
            holds=lambda self: (
                self.batches is None
                or self.auth is None
                or self.auth.batches_key_secret_ref is not None
            ),
        ),
        Rule(
            cel="!has(self.server.pdb) || !has(self.server.pdb.minAvailable)"
            " || self.scaling.mode != 'Internal'"
            " || (type(self.server.pdb.minAvailable) == int"
            " ? self.server.pdb.minAvailable < self.scaling.maxReplicas"
            " : self.server.pdb.minAvailable != '100%')",
            message="server.pdb.minAvailable must be less than scaling.maxReplicas, or no server"
            " pod could ever be evicted: lower server.pdb.minAvailable",
            field_path=".server.pdb.minAvailable",
            holds=_lets_a_server_pod_be_evicted,
        ),
        Rule(
            cel="!has(self.inferencePool) || !self.networkPolicy.enabled"
            " || (has(self.networkPolicy.serverClients)"
            " && size(self.networkPolicy.serverClients) > 0)"
            " || (!self.router.enabled && !has(self.networkPolicy.clients))",
            message="inferencePool needs networkPolicy.serverClients, or the gateway and the"
            " endpoint picker could not connect to the server pods: list them there, or set"
            " networkPolicy.enabled to false",
            holds=lambda self: (
                self.inference_pool is None
                or not self.network_policy.enabled
                or bool(self.network_policy.server_clients)
                or (not self.router.enabled and self.network_policy.clients is None)
            ),
        ),
        Rule(
            # What is a GPU by its name is refused by the rules of the server block.
            cel="self.gpu.resourceName.contains('/gpu') || self.gpu.resourceName.contains('/mig-')"
            " || (!has(self.server.resources.requests)"
            " || !(self.gpu.resourceName in self.server.resources.requests))"
            " && (!has(self.server.resources.limits)"
            " || !(self.gpu.resourceName in self.server.resources.limits))",
            message="server.resources must not contain gpu.resourceName, which the operator"
            " requests for each server pod: remove it from server.resources",
            field_path=".server.resources",
            holds=lambda self: (
                any(part in self.gpu.resource_name for part in ("/gpu", "/mig-"))
                or self.gpu.resource_name
                not in {*self.server.resources.requests, *self.server.resources.limits}
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
    """replicas is the desired number of server pods. It is used in scaling.mode External only, and
    may be left out of a manifest in mode Internal."""
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
    batches: Batches | None = None
    """batches adds a service of files and batches (/v1/files, /v1/batches), which the routers
    forward to. If unset, there is none."""
    inference_pool: InferencePool | None = None
    """inferencePool is the pool of server pods for a Gateway with an endpoint picker, which send
    requests to the server pods without the routers. If unset, there is no InferencePool."""
    monitoring: Monitoring = Monitoring()
    """monitoring configures how Prometheus finds the pods."""
    network_policy: NetworkPolicy = NetworkPolicy()
    """networkPolicy configures who may connect to the pods."""
    auth: Auth | None = None
    """auth configures API keys. If unset, requests need no key."""
    cost: Cost | None = None
    """cost is the price of a GPU, from which status.cost is computed."""
    paused: bool = False
    """paused holds every action of the operator except reporting: it creates, changes, drains and
    deletes nothing, and rolls nothing back. status.plan says what it would do."""
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
        Rule(
            cel="!has(self.spec.router.service.alias)"
            " || !(self.spec.router.service.alias in"
            f" [self.metadata.name, self.metadata.name + '{names.SERVERS_SUFFIX}',"
            f" self.metadata.name + '{names.BATCHES_SUFFIX}'])",
            message="router.service.alias must differ from the names of the FlamingoDeployment's"
            " own Services, which are metadata.name and, for server pods and batches, metadata.name"
            f" with {names.SERVERS_SUFFIX} and {names.BATCHES_SUFFIX}: choose another name",
            holds=lambda self: (
                self.spec.router.service.alias is None
                or names.is_alias(self.metadata.name, self.spec.router.service.alias)
            ),
        ),
    )

    api_version: Literal["flamingo.dev/v1alpha1"]
    kind: Literal["FlamingoDeployment"]
    metadata: Metadata
    spec: Spec


@dataclass(frozen=True, slots=True)
class Fault:
    """A field or block that is invalid."""

    path: Path
    message: str

    def __str__(self) -> str:
        return f"{path_text(self.path)}: {self.message}" if self.path else self.message


def parse(body: Mapping[str, Any]) -> FlamingoDeployment:
    """Return the object in `body`, with defaults; unknown fields are errors.

    Raises:
        SpecError: lists every error. Rules between fields are evaluated once each
            field is valid by itself, as the API server does it.
    """
    deployment, faults = _validate(body, extra=None)
    if deployment is None:
        raise SpecError([str(one) for one in faults])
    return deployment


def validate(body: Mapping[str, Any]) -> tuple[FlamingoDeployment | None, list[Fault]]:
    """Return the object in `body`, without unknown fields; or None and what is invalid."""
    return _validate(body, extra="ignore")


def _validate(
    body: Mapping[str, Any], *, extra: Literal["ignore"] | None
) -> tuple[FlamingoDeployment | None, list[Fault]]:
    try:
        context = {IGNORES_UNKNOWN: extra == "ignore"}
        deployment = FlamingoDeployment.model_validate(dict(body), extra=extra, context=context)
    except ValidationError as error:
        return None, [_fault(one) for one in error.errors(include_url=False)]
    faults = [Fault(path, rule.message) for path, rule in violated_rules(deployment)]
    return (None, faults) if faults else (deployment, [])


def _fault(error: Any) -> Fault:
    return Fault(tuple(error["loc"]), error["msg"].removeprefix("Value error, "))
