"""The API server, as the plugin uses it: one HTTP request for each method, one error type."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from flamingo_common.service import extras
from flamingo_operator.api import names
from flamingo_operator.api import spec as specs
from flamingo_operator.api.spec import FlamingoDeployment
from flamingo_operator.cluster import kinds
from flamingo_operator.cluster.kinds import Kind
from flamingo_operator.plugin import port_forward

Json: TypeAlias = Mapping[str, Any]

TIMEOUT_S = 15
API = f"/apis/{names.GROUP}/{names.VERSION}"
MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
DRY_RUN = {"dryRun": "All", "fieldValidation": "Strict"}
FIELD_MANAGER = "kubectl-flamingo"


class PluginError(Exception):
    """Why a command failed, in one line for the user."""


class NotFoundError(PluginError):
    """The object does not exist."""


class UnauthorizedError(PluginError):
    """The credentials were rejected."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """One namespace of one cluster, with the user's own permissions."""

    api: Any
    """The client library's ApiClient."""
    namespace: str
    timeout_s: float = TIMEOUT_S

    def with_timeout(self, timeout_s: float) -> "Cluster":
        """Return the same namespace, with another limit for each request."""
        return replace(self, timeout_s=timeout_s)

    def get_deployment(self, name: str) -> Json:
        """Return one FlamingoDeployment."""
        return self._json("GET", f"{self._resource}/{name}", what=f"FlamingoDeployment {name!r}")

    def list_deployments(self, *, all_namespaces: bool = False) -> list[Json]:
        """Return the FlamingoDeployments of the namespace, or of all."""
        path = f"{API}/{names.PLURAL}" if all_namespaces else self._resource
        return _items(self._json("GET", path, what="FlamingoDeployments"))

    def list_server_pods(self, deployment: str) -> list[Json]:
        """Return a deployment's server pods, sorted by name."""
        query = {"labelSelector": names.selector_string(deployment, "server")}
        pods = _items(self._json("GET", f"{self._core}/pods", query=query, what="pods"))
        return sorted(pods, key=lambda pod: str(pod["metadata"]["name"]))

    def list_all_server_pods(self) -> list[Json]:
        """Return the server pods of all deployments of the namespace."""
        query = {"labelSelector": f"{names.DEPLOYMENT_LABEL},{names.COMPONENT_LABEL}=server"}
        return _items(self._json("GET", f"{self._core}/pods", query=query, what="pods"))

    def get_pod(self, name: str) -> Json:
        """Return one pod."""
        return self._json("GET", f"{self._core}/pods/{name}", what=f"pod {name!r}")

    def list_pod_warnings(self) -> list[Json]:
        """Return the namespace's warning events about pods."""
        query = {"fieldSelector": "type=Warning,involvedObject.kind=Pod"}
        return _items(self._json("GET", f"{self._core}/events", query=query, what="events"))

    def get_node(self, name: str) -> Json:
        """Return one node."""
        return self._json("GET", f"/api/v1/nodes/{name}", what=f"node {name!r}")

    def pod_stats(self, pod: str, port: int, key: str | None) -> Json:
        """Return a pod's load report, through the API server.

        With `key` the request goes through a port-forward, which passes the key to the pod.
        """
        what = f"the load of {pod}"
        try:
            if key:
                target = port_forward.PodPort(self.namespace, pod, port)
                return _parse(port_forward.get(self.api, target, "/stats", key), what)
            return self._json("GET", f"{self._core}/pods/{pod}:{port}/proxy/stats", what=what)
        except UnauthorizedError:  # by the pod: the API server itself let us through
            message = (
                "the pod requires an API key; set FLAMINGO_API_KEY to a key with the permission"
                " observe"
            )
            raise PluginError(message) from None
        except port_forward.PortForwardError as error:
            raise PluginError(str(error)) from None

    def list_owned(self, deployment: str, kind: Kind) -> list[Json] | None:
        """Return a deployment's objects of one kind; None if the cluster lacks the kind."""
        query = {"labelSelector": f"{names.DEPLOYMENT_LABEL}={deployment}"}
        try:
            path = kind.path(self.namespace)
            return _items(self._json("GET", path, query=query, what=kind.plural))
        except PluginError:
            if kind in kinds.OPTIONAL_KINDS:
                return None
            raise

    def find_service(self, name: str) -> Json | None:
        """Return a Service, or None if it does not exist or may not be read."""
        try:
            return self._json("GET", f"{self._core}/services/{name}", what=f"Service {name!r}")
        except PluginError:
            return None

    def list_nodes(self) -> list[Json]:
        """Return the nodes; none without permission to list them."""
        try:
            return _items(self._json("GET", "/api/v1/nodes", what="nodes"))
        except PluginError:
            return []

    def pod_log(self, pod: str, *, tail: int, is_previous: bool = False) -> str:
        """Return the last lines of a pod's log."""
        query = {"tailLines": str(tail), "previous": "true" if is_previous else "false"}
        path = f"{self._core}/pods/{pod}/log"
        return self._text("GET", path, query=query, what=f"the log of {pod}")

    def follow_log(self, pod: str, *, tail: int) -> Iterator[str]:
        """Yield a pod's last lines and each new one, until its container ends."""
        from urllib3.exceptions import HTTPError  # noqa: PLC0415 - comes with the client library

        query = {"tailLines": str(tail), "follow": "true"}
        path, what = f"{self._core}/pods/{pod}/log", f"the log of {pod}"
        response = self._response("GET", path, query=query, what=what, is_stream=True)
        rest = b""
        try:
            for part in response.response.stream():
                *lines, rest = (rest + part).split(b"\n")
                yield from (line.decode("utf-8", "replace") for line in lines)
        except HTTPError as error:
            raise PluginError(f"{what} was interrupted: {_cause(error)}") from None
        if rest:
            yield rest.decode("utf-8", "replace")

    def dry_run_create(self, body: Json) -> Json:
        """Return what would be stored if a FlamingoDeployment were created."""
        return self._json("POST", self._resource, query=DRY_RUN, body=body, what=_what(body))

    def dry_run_patch(self, name: str, patch: Json) -> Json:
        """Return what would be stored if a FlamingoDeployment were changed by a merge patch."""
        path, what = f"{self._resource}/{name}", f"FlamingoDeployment {name!r}"
        return self._json(
            "PATCH", path, query=DRY_RUN, body=patch, content_type=MERGE_PATCH, what=what
        )

    def dry_run_apply(self, name: str, body: Json, manager: str) -> Json:
        """Return what would be stored if a field manager applied a FlamingoDeployment."""
        path, what = f"{self._resource}/{name}", f"FlamingoDeployment {name!r}"
        query = {**DRY_RUN, "fieldManager": manager, "force": "true"}
        return self._json(
            "PATCH", path, query=query, body=body, content_type=APPLY_PATCH, what=what
        )

    def patch_deployment(self, name: str, patch: Json) -> Json:
        """Change a FlamingoDeployment by a merge patch, and return it."""
        path, what = f"{self._resource}/{name}", f"FlamingoDeployment {name!r}"
        query = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"}
        return self._json(
            "PATCH", path, query=query, body=patch, content_type=MERGE_PATCH, what=what
        )

    def list_revisions(self, deployment: str) -> list[Json]:
        """Return a deployment's ControllerRevisions, the oldest first."""
        found = self.list_owned(deployment, kinds.REVISION) or []
        return sorted(found, key=lambda one: int(one["revision"]))

    def list_namespaces(self) -> list[Json]:
        """Return the namespaces."""
        return _items(self._json("GET", "/api/v1/namespaces", what="namespaces"))

    def annotate_pod(self, pod: str, annotations: Mapping[str, str | None]) -> None:
        """Set a pod's annotations; None removes one."""
        body = {"metadata": {"annotations": dict(annotations)}}
        path = f"{self._core}/pods/{pod}"
        self._json("PATCH", path, body=body, content_type=MERGE_PATCH, what=f"pod {pod!r}")

    @property
    def _core(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}"

    @property
    def _resource(self) -> str:
        return f"{API}/namespaces/{self.namespace}/{names.PLURAL}"

    def _json(self, method: str, path: str, **options: Any) -> Json:
        return _parse(self._text(method, path, **options), options["what"])

    def _text(self, method: str, path: str, **options: Any) -> str:
        text: bytes = self._response(method, path, **options).read()
        return text.decode("utf-8", "replace")

    def _response(  # noqa: PLR0913 - the one place where a request is put together
        self,
        method: str,
        path: str,
        *,
        what: str,
        query: Mapping[str, str] | None = None,
        body: Json | None = None,
        content_type: str = "application/json",
        is_stream: bool = False,
    ) -> Any:
        from urllib3.exceptions import HTTPError  # noqa: PLC0415 - comes with the client library

        params = self.api.param_serialize(
            method=method,
            resource_path=path,
            query_params=list((query or {}).items()),
            header_params={"Accept": "application/json, */*", "Content-Type": content_type},
            body=body,
            auth_settings=["BearerToken"],
        )
        timeout = (self.timeout_s, None) if is_stream else self.timeout_s
        try:
            response = self.api.call_api(*params, _request_timeout=timeout)
            if response.status < 400 and is_stream:  # noqa: PLR2004
                return response
            text = response.read().decode("utf-8", "replace")
        except HTTPError as error:
            host = self.api.configuration.host
            message = f"cannot reach the API server at {host}: {_cause(error)}"
            raise PluginError(message) from None
        if response.status >= 400:  # noqa: PLR2004
            raise _to_error(response.status, text, f"{what} in namespace {self.namespace!r}")
        return response


def _what(body: Json) -> str:
    return f"FlamingoDeployment {body['metadata']['name']!r}"


def connect(kubeconfig: str | None, context: str | None, namespace: str | None) -> Cluster:
    """Return the cluster that kubectl would use.

    Raises:
        PluginError: the client library is not installed, or there is no usable kubeconfig.
    """
    try:
        from kubernetes import client, config  # noqa: PLC0415 - 0.7 s that --help need not wait
    except ImportError:
        raise PluginError(
            f"the Kubernetes client library is not installed; {extras.advice('operator')}"
        ) from None
    try:
        settings = client.Configuration(retries=0)
        config.load_kube_config(kubeconfig, context, settings)  # type: ignore[no-untyped-call]
        contexts, active = config.list_kube_config_contexts(kubeconfig)  # type: ignore[no-untyped-call]
    except (config.ConfigException, OSError, TypeError) as error:
        raise PluginError(f"cannot load the kubeconfig: {error}") from None
    chosen = next((one for one in contexts if one["name"] == context), active)
    used = namespace or chosen["context"].get("namespace") or "default"
    return Cluster(client.ApiClient(settings), used)


def read_stored(body: Json) -> FlamingoDeployment:
    """Return an object of the API server, without fields that this release does not know.

    Raises:
        PluginError: it is one of another release, and invalid in this one.
    """
    deployment, faults = specs.validate(body)
    if deployment is None:
        text = "; ".join(map(str, faults))
        raise PluginError(f"this release of the plugin cannot read the spec: {text}")
    return deployment


def context_names(kubeconfig: str | None) -> list[str]:
    """Return the names of the contexts of a kubeconfig; none if it cannot be read."""
    from kubernetes import config  # noqa: PLC0415 - 0.7 s that --help need not wait

    try:
        contexts, _ = config.list_kube_config_contexts(kubeconfig)  # type: ignore[no-untyped-call]
    except (config.ConfigException, OSError, TypeError):
        return []
    return [str(one["name"]) for one in contexts]


def _parse(text: str | bytes, what: str) -> Json:
    try:
        parsed: Json = json.loads(text)
    except ValueError:
        raise PluginError(f"the response for {what} is not valid JSON") from None
    return parsed


def _items(body: Json) -> list[Json]:
    items: list[Json] = body.get("items") or []
    return items


def _cause(error: BaseException) -> str:
    return str(getattr(error, "reason", None) or error).partition(": ")[2] or type(error).__name__


def _to_error(status: int, text: str, what: str) -> PluginError:
    """Return the error for a failed response; `what` names the object."""
    try:
        body: Json = json.loads(text)
    except ValueError:
        body = {}
    message = str(body.get("message") or text).strip()
    if status == 401:  # noqa: PLR2004
        return UnauthorizedError("the API server rejected your credentials; log in again")
    if status == 403:  # noqa: PLR2004
        return PluginError(f"forbidden: {message}")
    if status == 404 and not body.get("details", {}).get("name"):  # noqa: PLR2004
        return PluginError(
            f"the cluster does not have the CustomResourceDefinition {names.CRD}; run:"
            " kubectl apply --server-side -f crds/"
        )
    if status == 404:  # noqa: PLR2004
        return NotFoundError(f"{what} not found")
    return PluginError(message or f"{what}: HTTP status {status}")
