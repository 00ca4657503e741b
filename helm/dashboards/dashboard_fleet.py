"""The dashboard of a fleet: what its clients get, and how the work is spread.

Pure.
"""

from typing import Final

import dashboard_batches
from grafana import (
    FLEET,
    Dashboard,
    Panel,
    Query,
    Row,
    heatmap,
    mean,
    quantile,
    quantiles,
    rate,
    stat,
)

WORK: Final = f'{FLEET}, route=~"/v1/.+", route!~"/v1/models.*"'
"""Requests that run the model."""
FAILED: Final = f'{WORK}, code=~"5.."'
REQUESTS: Final = "flamingo_router_requests_total"
DURATION: Final = "flamingo_router_request_duration_seconds"
TTFT: Final = "flamingo_router_time_to_first_token_seconds"
WAIT: Final = "flamingo_router_wait_seconds"
ERROR_RATIO: Final = f"({rate(REQUESTS, FAILED)} or vector(0)) / ({rate(REQUESTS, WORK)} > 0)"
BY_LENGTH: Final = "{{clip_length}}"

OVERVIEW: Final = Row(
    "Overview",
    [
        stat(
            Panel(
                "Ready server pods",
                "Server pods that accept requests. Healthy: as many as desired (see the dashboard"
                " of the operator). If 0, clients get 503.",
                [Query(f"sum(flamingo_ready{{{FLEET}}})", "ready")],
                steps=[(None, "red"), (1, "green")],
                runbook="FlamingoNoReadyPods",
            )
        ),
        stat(
            Panel(
                "Requests",
                "Requests that run the model, of all routes, answered or not.",
                [Query(rate(REQUESTS, WORK), "requests")],
                unit="reqps",
            )
        ),
        stat(
            Panel(
                "Error ratio",
                "Share of requests with a status of 5xx. Healthy: below 0.5 %. Above it, see the"
                " row Errors for the reason; 429 and 4xx do not count, because clients cause them.",
                [Query(ERROR_RATIO, "5xx")],
                unit="percentunit",
                decimals=2,
                steps=[(None, "green"), (0.001, "orange"), (0.005, "red")],
            )
        ),
        stat(
            Panel(
                "Audio received",
                "Hours of audio that arrive per hour. Compare it with the capacity of a server"
                " pod on the dashboard of the operator.",
                [Query(rate("flamingo_router_audio_seconds_total"), "audio")],
                unit="suffix: h/h",
                decimals=2,
            )
        ),
        stat(
            Panel(
                "Time to first token, p95",
                "Of streams, as clients see it: upload, queue and computation. Which value is"
                " healthy depends on the clips: see the row Latency.",
                [Query(f"{quantile(0.95, TTFT)} >= 0", "p95")],  # NaN, without requests, is not
                unit="s",
            )
        ),
        stat(
            Panel(
                "Queued requests",
                "Requests that wait in the routers because all server pods are busy. Healthy: 0"
                " most of the time. If it stays high, add server pods.",
                [Query(f"sum(flamingo_router_queued_requests{{{FLEET}}})", "queued")],
                steps=[(None, "green"), (1, "orange"), (50, "red")],
            )
        ),
    ],
)

TRAFFIC: Final = Row(
    "Traffic",
    [
        Panel(
            "Requests by route",
            "Requests that run the model. A sudden end of a line is a client that stopped, or an"
            " ingress that no longer reaches the routers.",
            [Query(rate(REQUESTS, WORK, by="route"), "{{route}}")],
            unit="reqps",
        ),
        Panel(
            "Requests by clip length",
            "Requests that succeeded, by the length of their clip; none: without audio. The mix"
            " explains most changes of latency: compare latencies within one length only.",
            [Query(rate(f"{DURATION}_count", by="clip_length"), BY_LENGTH)],
            unit="reqps",
            is_stacked=True,
        ),
        Panel(
            "Audio received and decoded",
            "Hours of audio per hour: what routers received and what server pods decoded."
            " Received without decoded is work that waits, was refused, or failed.",
            [
                Query(rate("flamingo_router_audio_seconds_total"), "received by routers"),
                Query(rate("flamingo_audio_seconds_total"), "decoded by server pods"),
            ],
            unit="suffix: h/h",
        ),
        Panel(
            "Responses by status",
            "All responses of the routers. 429: clients should retry later. 499: the client"
            " disconnected. 5xx: see the row Errors.",
            [Query(rate(REQUESTS, by="code"), "{{code}}")],
            unit="reqps",
            is_stacked=True,
        ),
        Panel(
            "Clip lengths",
            "How long the clips are that server pods decoded.",
            heatmap("flamingo_audio_duration_seconds"),
            unit="s",
            kind="heatmap",
        ),
        Panel(
            "How the length of clips is known",
            "Seconds of audio received, by how a router determined the length. exact and estimate"
            " are read from the file. Much assumed audio (URLs) makes predictions worse: see"
            " --probe-urls.",
            [Query(rate("flamingo_router_audio_seconds_total", by="source"), "{{source}}")],
            unit="suffix: h/h",
            is_stacked=True,
        ),
    ],
)

LATENCY: Final = Row(
    "Latency",
    [
        Panel(
            "Time to first token by clip length, p95",
            "From the arrival of a request to the first event of its stream. Healthy: stable for"
            " each length. If all rise together, requests queue; if one rises, look at the batch"
            " size and stage times of the engine.",
            [Query(quantile(0.95, TTFT, by="clip_length"), BY_LENGTH)],
            unit="s",
            runbook="FlamingoFirstTokenSlow",
        ),
        Panel(
            "Request duration by clip length, p95",
            "From the arrival of a request to the last byte of its response; of requests that"
            " succeeded. It grows with the number of generated tokens, too.",
            [Query(quantile(0.95, DURATION, by="clip_length"), BY_LENGTH)],
            unit="s",
        ),
        Panel(
            "Time to first token",
            "Quantiles of all streams. A p99 far from the p50 is usually the mix of lengths.",
            quantiles(TTFT),
            unit="s",
        ),
        Panel(
            "Wait in the router by priority, p95",
            "From admission to the choice of a server pod. Healthy: near 0. If it grows, the"
            " fleet is too small for its traffic; high priority waits least.",
            [Query(quantile(0.95, WAIT, by="priority"), "{{priority}}")],
            unit="s",
        ),
        Panel(
            "Mean time by phase",
            "Where the time of a request goes: waiting in the router, decoding the audio, waiting"
            " for the engine, prefill with audio encoding, and generation. If waits dominate, add"
            " server pods.",
            [
                Query(mean(WAIT), "router queue"),
                Query(mean("flamingo_audio_decode_seconds"), "audio decoding"),
                Query(mean("flamingo_request_queue_time_seconds"), "engine queue"),
                Query(mean("flamingo_request_prefill_time_seconds"), "prefill"),
                Query(mean("flamingo_request_decode_time_seconds"), "generation"),
            ],
            unit="s",
            is_stacked=True,
        ),
        Panel(
            "Request durations",
            "Distribution of the durations of requests that succeeded.",
            heatmap(DURATION),
            unit="s",
            kind="heatmap",
        ),
    ],
)

LOAD: Final = Row(
    "Load and queues",
    [
        Panel(
            "Backlog per pod",
            "Predicted seconds of work that each server pod has left. Healthy: the pods are close"
            " together. One far above the others is slow (see slowdown) or has the clips that are"
            " asked about most.",
            [Query(f"flamingo_backlog_seconds{{{FLEET}}}", "{{pod}}")],
            unit="s",
        ),
        Panel(
            "Requests per pod",
            "Answers that each engine works on, and those that wait for it. Waiting ones behind"
            " few running ones point to a full KV cache.",
            [
                Query(f"flamingo_requests_running{{{FLEET}}}", "{{pod}} running"),
                Query(f"flamingo_requests_waiting{{{FLEET}}}", "{{pod}} waiting"),
            ],
        ),
        Panel(
            "Queue of the routers",
            "Seconds of audio, and predicted seconds of work, that wait in each router. Routers"
            " queue when all server pods are busy.",
            [
                Query(f"flamingo_router_queued_audio_seconds{{{FLEET}}}", "{{pod}} audio"),
                Query(f"flamingo_router_queued_work_seconds{{{FLEET}}}", "{{pod}} work"),
            ],
            unit="s",
            runbook="FlamingoQueueSaturated",
        ),
        Panel(
            "Cache hits",
            "Share of lookups that hit: windows of audio that need no encoding (states,"
            " embeddings), and prompt tokens that need no prefill (kv). Near 0 is normal if every"
            " clip is new.",
            [
                Query(
                    f"{rate('flamingo_cache_hits_total', by='cache')}"
                    f" / ({rate('flamingo_cache_queries_total', by='cache')} > 0)",
                    "{{cache}}",
                )
            ],
            unit="percentunit",
            maximum=1,
        ),
        Panel(
            "Slowdown per server",
            "Compute time of each server pod, relative to the average of its model, as the"
            " routers measure it. Healthy: about 1. A pod above 1.5 for long may have a throttled"
            " GPU.",
            [
                Query(
                    f"max by (server) (flamingo_router_endpoint_slowdown_ratio{{{FLEET}}})",
                    "{{server}}",
                )
            ],
            steps=[(None, "green"), (1.5, "orange")],
        ),
        Panel(
            "Ready servers as each router sees them",
            "Server pods that each router sends requests to. Healthy: all routers agree. One that"
            " sees fewer has trouble with the network, the API server, or its key for the pods.",
            [
                Query(
                    f"sum by (pod) (flamingo_router_endpoint_ready{{{FLEET}}})",
                    "{{pod}}",
                )
            ],
        ),
    ],
)

ERRORS: Final = Row(
    "Errors and refusals",
    [
        Panel(
            "Errors and refusals by reason",
            "Requests that clients got an error for, whoever rejected or failed them. overloaded,"
            " rate_limit_exceeded and insufficient_quota protect the fleet; no_endpoint_ready,"
            " upstream_lost and internal_error need a look at the server pods; invalid_audio and"
            " other 4xx codes are the client's.",
            [Query(f"{rate('flamingo_router_errors_total', by='code')} > 0", "{{code}}")],
            unit="reqps",
        ),
        Panel(
            "Errors of server pods by code",
            "Requests that failed in a server pod. invalid_audio and other 4xx codes are the"
            " client's; internal_error is a bug, with a traceback in the pod's log.",
            [Query(f"{rate('flamingo_errors_total', by='code')} > 0", "{{code}}")],
            unit="reqps",
        ),
        Panel(
            "Error ratio",
            "Share of requests with a status of 5xx. The error budget of the alerts is spent by"
            " these.",
            [Query(ERROR_RATIO, "5xx")],
            unit="percentunit",
            steps=[(None, "green"), (0.001, "orange"), (0.005, "red")],
            runbook="FlamingoErrorBudgetBurn",
        ),
        Panel(
            "Attempts by outcome",
            "Attempts of routers at server pods. answered is the normal one. refused, lost and"
            " broken: a pod ended or is unreachable. busy: it drains or loads its model.",
            [
                Query(
                    rate("flamingo_router_upstream_attempts_total", by="outcome"),
                    "{{outcome}}",
                )
            ],
            unit="reqps",
        ),
        Panel(
            "Retries by reason",
            "Requests that were sent to another server pod after a failed attempt; clients do not"
            " notice them. over_budget: so many failed at once that it was not retried.",
            [Query(f"{rate('flamingo_router_retries_total', by='reason')} > 0", "{{reason}}")],
            unit="reqps",
        ),
        Panel(
            "Missing audio",
            "Seconds of audio per second that damaged files have lost, and that were processed as"
            " silence. Healthy: 0. If it rises, a client uploads truncated files.",
            [Query(rate("flamingo_audio_missing_seconds_total"), "missing")],
            unit="s",
        ),
    ],
)

DASHBOARD: Final = Dashboard(
    uid="flamingo-fleet",
    title="Flamingo / Fleet",
    description="What the clients of a fleet get, and how its work is spread over the server pods.",
    rows=[OVERVIEW, TRAFFIC, LATENCY, LOAD, ERRORS, dashboard_batches.ROW],
)
