"""FlamingoDeployments, good and bad, about networks and monitoring; see `deployments`."""

from control_plane.deployments import Case

TEAM = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "team"}}}
OFFICE = {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}
LISTENER = {"name": "a", "namespace": "gateways", "sectionName": "https"}
PICKER = {"endpointPickerRef": {"name": "picker"}}
BALANCED = {
    "type": "LoadBalancer",
    "port": 443,
    "labels": {"team": "audio"},
    "annotations": {"a.example/b": "c"},
    "loadBalancerClass": "service.k8s.aws/nlb",
    "loadBalancerSourceRanges": ["192.0.2.0/24", "2001:db8::/32"],
    "externalTrafficPolicy": "Local",
    "ipFamilyPolicy": "PreferDualStack",
    "alias": "audio",
}
NETWORKED = {
    "monitoring": {
        "podMonitor": {
            "labels": {"release": "kube-prometheus-stack"},
            "annotations": {"a.example/b": "c"},
            "interval": "1m30s",
            "scrapeTimeout": "10s",
            "podTargetLabels": ["flamingo.dev/deployment", "team"],
        }
    },
    "networkPolicy": {
        "clients": [TEAM, OFFICE],
        "serverClients": [
            {
                "podSelector": {
                    "matchExpressions": [{"key": "app", "operator": "In", "values": ["picker"]}]
                }
            }
        ],
        "scrapers": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "vm"}}}],
    },
    "inferencePool": {
        "labels": {"team": "audio"},
        "endpointPickerRef": {
            "name": "picker",
            "port": {"number": 9003},
            "failureMode": "FailOpen",
        },
    },
    "router": {
        "service": BALANCED,
        "ingress": {
            "ingressClassName": "nginx",
            "hosts": ["audio.example.com", "*.audio.example.com"],
            "path": "/music",
            "pathType": "ImplementationSpecific",
            "tlsSecretName": "audio-tls",
            "labels": {"team": "audio"},
            "annotations": {"nginx.ingress.kubernetes.io/proxy-body-size": "0"},
        },
        "httpRoute": {
            "parentRefs": [
                {"name": "edge", "namespace": "gateways", "sectionName": "https"},
                {"name": "inner", "port": 80},
            ],
            "hostnames": ["audio.example.com"],
            "path": "/music",
            "timeouts": {"request": "0s", "backendRequest": "30m"},
            "labels": {"team": "audio"},
            "annotations": {"a.example/b": "c"},
        },
    },
}


def _service(**fields: object) -> dict[str, object]:
    return {"router": {"service": fields}}


NETWORK_GOOD = [
    Case("everything about networks", NETWORKED),
    Case("a monitor that is switched off", {"monitoring": {"podMonitor": {"enabled": False}}}),
    Case("no policies", {"networkPolicy": {"enabled": False}, "inferencePool": PICKER}),
    Case("no scrapers", {"networkPolicy": {"scrapers": []}}),
    Case(
        "a pool without routers and policies that exclude nobody",
        {"router": {"enabled": False}, "inferencePool": PICKER},
    ),
    Case("a node port", _service(type="NodePort", externalTrafficPolicy="Local")),
    Case("an Ingress for every host", {"router": {"ingress": {}}}),
    Case(
        "two listeners of a Gateway, and one of the same name elsewhere",
        {
            "router": {
                "httpRoute": {
                    "parentRefs": [LISTENER, {**LISTENER, "sectionName": "http"}, {"name": "a"}]
                }
            }
        },
    ),
    Case("a Gateway and nothing else", {"router": {"httpRoute": {"parentRefs": [{"name": "a"}]}}}),
]
REFERENCES = Case(
    "references whose defaults the API server fills in",
    {
        "router": {
            "env": [
                {"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
                {"name": "B", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory"}}},
            ],
            "volumes": [
                {"name": "a", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}
            ],
        }
    },
)
NETWORK_BROKEN_RULES = [
    Case(
        "a scrape that takes longer than the interval",
        {"monitoring": {"podMonitor": {"interval": "30s", "scrapeTimeout": "1m"}}},
        errors=("podMonitor.scrapeTimeout must not be longer than podMonitor.interval",),
    ),
    Case(
        "a reserved label of a monitor",
        {"monitoring": {"podMonitor": {"labels": {"flamingo.dev/deployment": "other"}}}},
        errors=("labels must not contain flamingo.dev/* or app.kubernetes.io/*",),
    ),
    Case(
        "a peer that is nobody",
        {"networkPolicy": {"clients": [{}]}},
        errors=("a peer must have either ipBlock, or podSelector, namespaceSelector or both",),
    ),
    Case(
        "a peer that is both addresses and pods",
        {"networkPolicy": {"scrapers": [{**OFFICE, **TEAM}]}},
        errors=("a peer must have either ipBlock, or podSelector, namespaceSelector or both",),
    ),
    Case(
        "a pool that nobody can reach",
        {"inferencePool": PICKER},
        errors=("inferencePool needs networkPolicy.serverClients",),
    ),
    Case(
        "source ranges without a load balancer",
        _service(loadBalancerSourceRanges=["192.0.2.0/24"]),
        errors=("service.loadBalancerClass and service.loadBalancerSourceRanges need",),
    ),
    Case(
        "the class of no load balancer",
        _service(type="NodePort", loadBalancerClass="a.example/b"),
        errors=("service.loadBalancerClass and service.loadBalancerSourceRanges need",),
    ),
    Case(
        "external traffic of an internal Service",
        _service(externalTrafficPolicy="Local"),
        errors=("service.externalTrafficPolicy needs service.type NodePort or LoadBalancer",),
    ),
    Case(
        "an alias that is the name",
        _service(alias="music"),
        errors=("router.service.alias must differ from the names",),
    ),
    Case(
        "an alias that is the name of the server pods' Service",
        _service(alias="music-servers"),
        errors=("router.service.alias must differ from the names",),
    ),
    Case(
        "an Ingress without routers",
        {"router": {"enabled": False, "ingress": {}}},
        errors=("router.ingress, router.httpRoute and router.service.alias need the routers",),
    ),
    Case(
        "the same Gateway twice",
        {"router": {"httpRoute": {"parentRefs": [{"name": "a"}, {"name": "a", "port": 80}]}}},
        errors=("httpRoute.parentRefs that select the same Gateway must each have another",),
    ),
    Case(
        "the same listener twice",
        {"router": {"httpRoute": {"parentRefs": [LISTENER, LISTENER]}}},
        errors=("httpRoute.parentRefs that select the same Gateway must each have another",),
    ),
    Case(
        "a timeout above the one that contains it",
        {
            "router": {
                "httpRoute": {
                    "parentRefs": [{"name": "a"}],
                    "timeouts": {"request": "1m", "backendRequest": "2m"},
                }
            }
        },
        errors=("timeouts.backendRequest must not be longer than timeouts.request",),
    ),
]
NETWORK_BAD_FIELDS = [
    Case(
        "an interval without a unit",
        {"monitoring": {"podMonitor": {"interval": "30"}}},
        errors=("spec.monitoring.podMonitor.interval",),
    ),
    Case(
        "an address that is not a range",
        _service(type="LoadBalancer", loadBalancerSourceRanges=["192.0.2.1"]),
        errors=("spec.router.service.loadBalancerSourceRanges[0]",),
    ),
    Case(
        "the same range twice",
        _service(type="LoadBalancer", loadBalancerSourceRanges=["192.0.2.0/24", "192.0.2.0/24"]),
        errors=("spec.router.service.loadBalancerSourceRanges",),
    ),
    Case(
        "an alias with a dot",
        _service(alias="audio.example"),
        errors=("spec.router.service.alias",),
    ),
    Case(
        "a host with a scheme",
        {"router": {"ingress": {"hosts": ["https://audio.example.com"]}}},
        errors=("spec.router.ingress.hosts[0]",),
    ),
    Case(
        "a route without a parent",
        {"router": {"httpRoute": {"parentRefs": []}}},
        errors=("spec.router.httpRoute.parentRefs",),
    ),
    Case(
        "a pool without a picker",
        {"networkPolicy": {"enabled": False}, "inferencePool": {}},
        errors=("spec.inferencePool.endpointPickerRef",),
    ),
]
NETWORK_BAD = NETWORK_BROKEN_RULES + NETWORK_BAD_FIELDS
