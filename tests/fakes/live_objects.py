"""Objects as the API server sends them, with the fields that the operator owns."""


def fields_of(value):
    """Return the FieldsV1 set of a manager that applied `value`, lists being atomic."""
    if not isinstance(value, dict):
        return {}
    return {f"f:{key}": fields_of(inner) for key, inner in value.items()}


def live(manifest, *, version=1, uid="u-9", **more):
    """Return an object as the API server sends it after the operator has applied it."""
    said = {key: value for key, value in manifest.items() if key not in ("apiVersion", "kind")}
    metadata = dict(said["metadata"])
    applied = {key: value for key, value in metadata.items() if key not in ("name", "namespace")}
    ours = {"manager": "flamingo-operator", "operation": "Apply"}
    ours["fieldsV1"] = fields_of({**said, "metadata": applied})
    metadata |= {"uid": uid, "resourceVersion": str(version), "managedFields": [ours]}
    return {**manifest, "metadata": metadata, **more}
