"""Fields of the server and router pods that are refused as they would be in a pod."""

from control_plane.deployments import Case

SECRET = {"name": "a", "key": "b"}
SPREAD = {"topologyKey": "zone", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"}

BAD_PODS = [
    Case(
        "a misspelt topology key",
        {"server": {"topologySpreadConstraints": [{**SPREAD, "topologyKye": "zone"}]}},
        errors=("spec.server.topologySpreadConstraints[0].topologyKye",),
    ),
    Case(
        "a variable with two sources",
        {
            "server": {
                "env": [
                    {
                        "name": "A",
                        "valueFrom": {"secretKeyRef": SECRET, "configMapKeyRef": SECRET},
                    }
                ]
            }
        },
        errors=("valueFrom must have exactly one of",),
    ),
    Case(
        "a label key with a space",
        {"server": {"podMetadata": {"labels": {"my app": "a"}}}},
        errors=("keys must be names such as app",),
    ),
    Case(
        "a label value with a space",
        {"router": {"podMetadata": {"labels": {"app": "my app"}}}},
        errors=("spec.router.podMetadata.labels.app",),
    ),
    Case(
        "a label value of 64 characters",
        {"router": {"nodeSelector": {"pool": "a" * 64}}},
        errors=("spec.router.nodeSelector.pool",),
    ),
    Case(
        "an annotation key with two slashes",
        {"router": {"service": {"annotations": {"a/b/c": "d"}}}},
        errors=("keys must be names such as app",),
    ),
    Case(
        "a misspelt affinity",
        {"router": {"affinity": {"podAntiAfinity": {}}}},
        errors=("spec.router.affinity.podAntiAfinity",),
    ),
    Case(
        "an affinity without values",
        {
            "server": {
                "affinity": {
                    "nodeAffinity": {
                        "requiredDuringSchedulingIgnoredDuringExecution": {
                            "nodeSelectorTerms": [
                                {"matchExpressions": [{"key": "zone", "operator": "In"}]}
                            ]
                        }
                    }
                }
            }
        },
        errors=("values must have items for In and NotIn",),
    ),
    Case(
        "a toleration of nothing",
        {"server": {"tolerations": [{"effect": "NoSchedule"}]}},
        errors=("key must be set unless operator is Exists",),
    ),
    Case(
        "a volume without a source",
        {"router": {"volumes": [{"name": "a"}]}},
        errors=("a volume must have exactly one of",),
    ),
    Case(
        "a user by name",
        {"server": {"securityContext": {"runAsUser": "flamingo"}}},
        errors=("spec.server.securityContext.runAsUser",),
    ),
    Case(
        "variables from nowhere",
        {"router": {"envFrom": [{"prefix": "A_"}]}},
        errors=("an item of envFrom must have exactly one of",),
    ),
]
