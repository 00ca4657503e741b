"""Requests and limits of containers: the user's, and the operator's defaults.

Without requests a pod is of the class BestEffort, the first that a node evicts, and the
scheduler puts any number of them on one node. There is no default limit of the CPU,
because throttling delays health checks; there is one of memory, so that a leak ends one
container and not its node. Of ephemeral storage there is a limit only, for which a request of 0
is written: not every node states how much it has, and on such a node a pod that requests any is
never scheduled. A namespace with a quota of CPU limits therefore still needs
them from the user.

Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from flamingo_operator.api import quantity
from flamingo_operator.api.batches import BatchLimits
from flamingo_operator.api.pod import Resources
from flamingo_operator.api.spec import Spec
from flamingo_operator.manifests import common
from flamingo_operator.manifests.common import Manifest

BUILTIN_MODEL_PREFIX = "flamingo-tiny"
"""Models that are built in have this prefix; every other one is a checkpoint of 8 billion
parameters, or of that order."""

Quantities = Mapping[str, int | str]


@dataclass(frozen=True, slots=True)
class Defaults:
    """The operator's requests and limits of one container."""

    requests: Quantities
    limits: Quantities
    scratch: str
    """The limit of its /tmp."""
    models: str = ""
    """The limit of its volume for the model's files, if that is an emptyDir."""


ROUTER = Defaults(
    requests={"cpu": "100m", "memory": "256Mi", "ephemeral-storage": "0"},
    limits={"memory": "2Gi", "ephemeral-storage": "8Gi"},
    scratch="1Gi",
)
"""Half of the memory is for the bodies that a router keeps until a server pod responds (1 MiB
each); the disk is for its spool."""
TINY_SERVER = Defaults(
    requests={"cpu": "250m", "memory": "1Gi", "ephemeral-storage": "0"},
    limits={"memory": "8Gi", "ephemeral-storage": "16Gi"},
    scratch="4Gi",
    models="8Gi",
)
"""For a model that is built in, on a small node without a GPU. Most of the memory's limit is that
of the audio in flight, --max-request-memory-bytes."""
SERVER = Defaults(
    requests={"cpu": "1", "memory": "8Gi", "ephemeral-storage": "0"},
    limits={"memory": "48Gi", "ephemeral-storage": "80Gi"},
    scratch="4Gi",
    models="64Gi",
)
"""For a checkpoint of 8 billion parameters on a GPU, on the smallest nodes that have one (4 CPUs,
16 GiB)."""
CHECKPOINT_MEMORY = "20Gi"
"""What its weights take in the node's memory without a GPU."""


def server_defaults(spec: Spec) -> Defaults:
    """Return the defaults of a server container, by its model and GPU."""
    if spec.model.id.startswith(BUILTIN_MODEL_PREFIX):
        return TINY_SERVER
    requests = dict(SERVER.requests)
    if spec.gpu.count == 0:
        requests["memory"] = CHECKPOINT_MEMORY
    return Defaults(requests, SERVER.limits, SERVER.scratch, SERVER.models)


def batches_defaults(limits: BatchLimits) -> Defaults:
    """Return the defaults of batches, whose /tmp has the input file of each running batch.

    Most of the memory is for the lines and responses in flight.
    """
    num_bytes = quantity.parse(limits.max_file_size) * limits.max_running_batches
    num_mib = -(-int(num_bytes) // 2**20) + 256
    return Defaults(
        requests={"cpu": "100m", "memory": "256Mi", "ephemeral-storage": "0"},
        limits={"memory": "2Gi", "ephemeral-storage": f"{num_mib + 1024}Mi"},
        scratch=quantity.canonical(f"{num_mib}Mi"),
    )


def resources_with_defaults(resources: Resources, defaults: Defaults) -> Manifest:
    """Return requests and limits as strings, as the API server stores them.

    The user's limit of a resource is its request too, as in Kubernetes, unless they set
    one; and the user's request raises a default limit that is lower.
    """
    unset = {
        name: value for name, value in defaults.requests.items() if name not in resources.limits
    }
    requests = {**unset, **resources.requests}
    limits = {
        name: _higher(value, requests.get(name)) for name, value in defaults.limits.items()
    } | resources.limits
    return {
        "requests": common.quantity_strings(requests),
        "limits": common.quantity_strings(limits),
    }


def _higher(limit: int | str, request: int | str | None) -> int | str:
    if request is None or quantity.parse(request) <= quantity.parse(limit):
        return limit
    return request
