"""The cluster, as the plugin asks it: one HTTP call a question, and one error a failure."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from flamingo_operator.api import names
from flamingo_operator.cluster import kinds
from flamingo_operator.cluster.kinds import Kind
from flamingo_operator.plugin import port_forward

Json: TypeAlias = dict[str, Any]

TIMEOUT_S = 15
API = f"/apis/{names.GROUP}/{names.VERSION}"
MERGE = "application/merge-patch+json"


class PluginError(Exception):
    """Why a command cannot be done, in a sentence for the person at the terminal."""


class NotFound(PluginError):
    """There is no such object."""


class Unauthorized(PluginError):
    """Who asks is not known."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """One namespace of one cluster, seen with the user's own rights."""

    api: Any
    """The client library's ApiClient."""
    namespace: str

    def deployment(self, name: str) -> Json:
        """Return one FlamingoDeployment."""
        return self._asked("GET", f"{self._resource}/{name}", what=f"FlamingoDeployment {name!r}")

    def deployments(self, *, is_everywhere: bool = False) -> list[Json]:
        """Return the FlamingoDeployments of the namespace, or of all."""
        path = f"{API}/{names.PLURAL}" if is_everywhere else self._resource
        return _items(self._asked("GET", path, what="FlamingoDeployments"))

    def pods(self, deployment: str) -> list[Json]:
        """Return the servers' pods, by name."""
        query = {"labelSelector": names.selector_string(deployment, "server")}
        found = _items(self._asked("GET", f"{self._core}/pods", query=query, what="pods"))
        return sorted(found, key=lambda pod: str(pod["metadata"]["name"]))

    def pod(self, name: str) -> Json:
        """Return one pod."""
        return self._asked("GET", f"{self._core}/pods/{name}", what=f"pod {name!r}")

    def warnings(self) -> list[Json]:
        """Return the namespace's warnings about pods."""
        query = {"fieldSelector": "type=Warning,involvedObject.kind=Pod"}
        return _items(self._asked("GET", f"{self._core}/events", query=query, what="events"))

    def node(self, name: str) -> Json:
        """Return one node."""
        return self._asked("GET", f"/api/v1/nodes/{name}", what=f"node {name!r}")

    def stats(self, pod: str, port: int, key: str | None) -> Json:
        """Return a pod's load report, asked through the API server; `key` opens a pod with keys."""
        what = f"the load of {pod}"
        try:
            if key:
                place = port_forward.PodPort(self.namespace, pod, port)
                return _parsed(port_forward.get(self.api, place, "/stats", key), what)
            return self._asked("GET", f"{self._core}/pods/{pod}:{port}/proxy/stats", what=what)
        except Unauthorized:  # to the pod: the API server has let us this far
            told = "it asks for a key; let FLAMINGO_API_KEY be one that may observe"
            raise PluginError(told) from None
        except port_forward.PortForwardError as error:
            raise PluginError(str(error)) from None

    def made_for(self, deployment: str, kind: Kind) -> list[Json] | None:
        """Return a deployment's objects of one kind; None where the cluster has no such kind."""
        query = {"labelSelector": f"{names.DEPLOYMENT_LABEL}={deployment}"}
        try:
            path = kind.path(self.namespace)
            return _items(self._asked("GET", path, query=query, what=kind.plural))
        except PluginError:
            if kind == kinds.POD_MONITOR:
                return None
            raise

    def nodes(self) -> list[Json]:
        """Return the nodes; none where one may not see them."""
        try:
            return _items(self._asked("GET", "/api/v1/nodes", what="nodes"))
        except PluginError:
            return []

    def log(self, pod: str, *, tail: int, is_previous: bool = False) -> str:
        """Return the last lines of a pod's log."""
        query = {"tailLines": str(tail), "previous": "true" if is_previous else "false"}
        path = f"{self._core}/pods/{pod}/log"
        return self._text("GET", path, query=query, what=f"the log of {pod}")

    def followed(self, pod: str, *, tail: int) -> Iterator[str]:
        """Yield a pod's last lines and each new one, until its container ends."""
        from urllib3.exceptions import HTTPError  # noqa: PLC0415 - comes with the client library

        query = {"tailLines": str(tail), "follow": "true"}
        path, what = f"{self._core}/pods/{pod}/log", f"the log of {pod}"
        response = self._response("GET", path, query=query, what=what, is_endless=True)
        rest = b""
        try:
            for part in response.response.stream():
                *lines, rest = (rest + part).split(b"\n")
                yield from (line.decode("utf-8", "replace") for line in lines)
        except HTTPError as error:
            raise PluginError(f"{what} broke off: {_cause(error)}") from None
        if rest:
            yield rest.decode("utf-8", "replace")

    def tried(self, body: Json, before: Json | None) -> Json:
        """Return what would be stored if `body` took the place of `before`; store nothing."""
        name, query = body["metadata"]["name"], {"dryRun": "All"}
        what = f"FlamingoDeployment {name!r}"
        if before is None:
            return self._asked("POST", self._resource, query=query, body=body, what=what)
        seen = before["metadata"]["resourceVersion"]
        body = {**body, "metadata": {**body["metadata"], "resourceVersion": seen}}
        return self._asked("PUT", f"{self._resource}/{name}", query=query, body=body, what=what)

    def annotate(self, pod: str, annotations: Mapping[str, str | None]) -> None:
        """Set a pod's annotations; None removes one."""
        body = {"metadata": {"annotations": dict(annotations)}}
        path = f"{self._core}/pods/{pod}"
        self._asked("PATCH", path, body=body, kind=MERGE, what=f"pod {pod!r}")

    @property
    def _core(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}"

    @property
    def _resource(self) -> str:
        return f"{API}/namespaces/{self.namespace}/{names.PLURAL}"

    def _asked(self, method: str, path: str, **more: Any) -> Json:
        return _parsed(self._text(method, path, **more), more["what"])

    def _text(self, method: str, path: str, **more: Any) -> str:
        text: bytes = self._response(method, path, **more).read()
        return text.decode("utf-8", "replace")

    def _response(  # noqa: PLR0913 - the one place where a request is put together
        self,
        method: str,
        path: str,
        *,
        what: str,
        query: Mapping[str, str] | None = None,
        body: Json | None = None,
        kind: str = "application/json",
        is_endless: bool = False,
    ) -> Any:
        from urllib3.exceptions import HTTPError  # noqa: PLC0415 - comes with the client library

        params = self.api.param_serialize(
            method=method,
            resource_path=path,
            query_params=list((query or {}).items()),
            header_params={"Accept": "application/json, */*", "Content-Type": kind},
            body=body,
            auth_settings=["BearerToken"],
        )
        patience = (TIMEOUT_S, None) if is_endless else TIMEOUT_S
        try:
            response = self.api.call_api(*params, _request_timeout=patience)
            if response.status < 400 and is_endless:  # noqa: PLR2004 - HTTP's own line
                return response
            text = response.read().decode("utf-8", "replace")
        except HTTPError as error:
            host = self.api.configuration.host
            raise PluginError(f"no cluster answers at {host}: {_cause(error)}") from None
        if response.status >= 400:  # noqa: PLR2004
            raise _refusal(response.status, text, f"{what} in namespace {self.namespace!r}")
        return response


def connect(kubeconfig: str | None, context: str | None, namespace: str | None) -> Cluster:
    """Return the cluster that kubectl would use.

    Raises:
        PluginError: the client library is not installed, or there is no usable kubeconfig.
    """
    try:
        from kubernetes import client, config  # noqa: PLC0415 - 0.7 s that --help need not wait
    except ImportError:
        raise PluginError(
            "the Kubernetes client is not installed: pip install 'flamingo-fleet[operator]'"
        ) from None
    try:
        settings = client.Configuration(retries=0)
        config.load_kube_config(kubeconfig, context, settings)  # type: ignore[no-untyped-call]
        contexts, active = config.list_kube_config_contexts(kubeconfig)  # type: ignore[no-untyped-call]
    except (config.ConfigException, OSError, TypeError) as error:
        raise PluginError(f"no usable kubeconfig: {error}") from None
    chosen = next((one for one in contexts if one["name"] == context), active)
    used = namespace or chosen["context"].get("namespace") or "default"
    return Cluster(client.ApiClient(settings), used)


def _parsed(text: str | bytes, what: str) -> Json:
    try:
        found: Json = json.loads(text)
    except ValueError:
        raise PluginError(f"no JSON came for {what}") from None
    return found


def _items(body: Json) -> list[Json]:
    found: list[Json] = body.get("items") or []
    return found


def _cause(error: BaseException) -> str:
    return str(getattr(error, "reason", None) or error).partition(": ")[2] or type(error).__name__


def _refusal(status: int, text: str, what: str) -> PluginError:
    try:
        told: Json = json.loads(text)
    except ValueError:
        told = {}
    message = str(told.get("message") or text).strip()
    if status == 401:  # noqa: PLR2004
        return Unauthorized("the cluster does not know you: log in again")
    if status == 403:  # noqa: PLR2004
        return PluginError(f"you may not do that: {message}")
    if status == 404 and not told.get("details", {}).get("name"):  # noqa: PLR2004
        return PluginError(
            f"the cluster has no {names.PLURAL}.{names.GROUP}: install the operator's chart, or"
            " kubectl apply --server-side -f crds/"
        )
    if status == 404:  # noqa: PLR2004
        return NotFound(f"there is no {what}")
    return PluginError(message or f"{what}: HTTP status {status}")
