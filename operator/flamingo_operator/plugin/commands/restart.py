"""`kubectl flamingo restart`: replace all server pods, also with the operator's default image."""

from datetime import UTC, datetime

from rich.text import Text

from flamingo_operator.plugin import output
from flamingo_operator.plugin.cluster import PluginError, connect
from flamingo_operator.plugin.options import Context, Kubeconfig, Name, Namespace

RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
"""The annotation that `kubectl rollout restart` sets on pod templates."""


def restart(
    name: Name,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Replace all server pods by a rollout.

    The new pods are created by the operator that runs now: they have its default image, if
    the spec names none.
    """
    cluster = connect(kubeconfig, context, namespace)
    spec = cluster.get_deployment(name)["spec"]
    if (spec.get("rollout") or {}).get("paused"):
        raise PluginError(f"cannot restart {name!r}: set spec.rollout.paused to false first")
    moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    metadata = {"annotations": {RESTARTED_AT: moment}}
    cluster.patch_deployment(name, {"spec": {"server": {"podMetadata": metadata}}})
    output.show(Text(f"flamingodeployment.flamingo.dev/{name} restarted"))
    if spec.get("paused"):
        output.warn("spec.paused is true: no server pod is replaced until it is false")
