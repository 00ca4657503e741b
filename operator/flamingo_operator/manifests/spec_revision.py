"""Which stored revision is that of a spec: the one whose pods would be rendered alike.

How it works. A ControllerRevision stores the template of its pods, and what the template was
rendered from: the spec and the default image of that release of the operator. A spec has a
stored revision if

- its template, rendered now, is the stored one, or
- today's operator renders the same template from both specs, with the default image that the
  revision was rendered with. If the specs are equal, that needs no rendering.

So a change of the spec that changes no pod keeps the revision, whatever the field, and so does
an operator that renders pods differently or has another default image, because both sides of
the comparison change alike. If several revisions match, it is the newest.

Pure.
"""

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from pydantic import ValidationError

from flamingo_operator.api import names
from flamingo_operator.api.reading import LastSpec
from flamingo_operator.api.spec import FlamingoDeployment, Metadata, Spec
from flamingo_operator.cluster.observed import Observed, Revision
from flamingo_operator.manifests import common, pod_template
from flamingo_operator.manifests.common import Manifest, Release

MAX_RENDERED = 2048
"""Rendered specs whose hashes are kept: a reconciliation needs the same few each time."""


def new_manifest(
    deployment: FlamingoDeployment, release: Release, *, number: int, annotations: Manifest
) -> Manifest:
    """Return a ControllerRevision for the current spec."""
    template = pod_template.build_template(deployment, release)
    inputs = {"spec": json.loads(_text(deployment.spec)), "serverImage": release.server_image}
    return manifest(
        deployment,
        pod_template.template_hash(template),
        {"template": template, "inputs": inputs},
        number=number,
        annotations=annotations,
    )


def manifest(
    deployment: FlamingoDeployment,
    hash_: str,
    data: Manifest,
    *,
    number: int,
    annotations: Manifest,
) -> Manifest:
    """Return a ControllerRevision."""
    name = deployment.metadata.name
    metadata = common.metadata(deployment, names.revision(name, hash_), "server")
    metadata["labels"][names.REVISION_LABEL] = hash_
    if annotations:
        metadata["annotations"] = annotations
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": metadata,
        "revision": number,
        "data": data,
    }


def find(
    deployment: FlamingoDeployment, release: Release, revisions: Iterable[Revision]
) -> Revision | None:
    """Return the revision of the current spec; None if none is stored."""
    name, text = deployment.metadata.name, _text(deployment.spec)
    for one in sorted(revisions, key=lambda one: one.number, reverse=True):
        inputs = json.loads(one.inputs or "{}")
        # Usually nothing changed, and then nothing need be rendered.
        if inputs and inputs["spec"] == json.loads(text):
            return one
        if one.hash == rendered_hash(name, text, release.server_image):
            return one
        if _is_alike(name, text, inputs):
            return one
    return None


def last_spec(observed: Observed, status: Mapping[str, Any]) -> LastSpec | None:
    """Return the spec of the newest revision, for an operator that has not read one yet."""
    newest = max(observed.revisions, key=lambda one: one.number, default=None)
    inputs: Mapping[str, Any] = json.loads(newest.inputs or "{}") if newest is not None else {}
    if not inputs:
        return None
    num = status.get("scaling", {}).get("desiredReplicas")
    return LastSpec(inputs["spec"], num_replicas=num)


def _text(spec: Spec) -> str:
    return spec.model_dump_json(by_alias=True, exclude_none=True)


def _is_alike(name: str, text: str, inputs: Mapping[str, Any]) -> bool:
    """Whether today's operator renders the same template from a spec and a revision's inputs."""
    if not inputs:
        return False
    stored, image = json.dumps(inputs["spec"]), inputs["serverImage"]
    before = rendered_hash(name, stored, image)
    return before is not None and before == rendered_hash(name, text, image)


@lru_cache(maxsize=MAX_RENDERED)
def rendered_hash(name: str, text: str, image: str) -> str | None:
    """Return the hash of the template that a spec, as JSON text, has; None if it is unreadable."""
    try:
        spec = Spec.model_validate_json(text, extra="ignore")
    except ValidationError:
        return None
    deployment = FlamingoDeployment(
        apiVersion="flamingo.dev/v1alpha1",
        kind="FlamingoDeployment",
        metadata=Metadata(name=name),
        spec=spec,
    )
    return pod_template.template_hash(
        pod_template.build_template(deployment, Release(image, "", "", ""))
    )
