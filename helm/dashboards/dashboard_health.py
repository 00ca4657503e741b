"""The row of the operator's own health, on its dashboard.

Pure.
"""

from typing import Final

from grafana import FLEET, Panel, Query, Row, mean, quantile, rate

OPERATOR: Final = "flamingo_operator"
ERRORS: Final = f"{OPERATOR}_reconcile_errors_total"
GREEN, RED = "green", "red"
ALL: Final = ""
"""Metrics of the operator's process are not about one fleet."""

HEALTH: Final = Row(
    "The operator itself",
    [
        Panel(
            "Reconciliations",
            "Duration of a reconciliation. Healthy: below a second. Slow ones wait for the API"
            " server.",
            [
                Query(quantile(0.5, f"{OPERATOR}_reconcile_seconds", ALL), "p50"),
                Query(quantile(0.95, f"{OPERATOR}_reconcile_seconds", ALL), "p95"),
                Query(mean(f"{OPERATOR}_reconcile_seconds", ALL), "mean"),
            ],
            unit="s",
        ),
        Panel(
            "Failed reconciliations by reason",
            "They are retried. stale is normal: an object changed meanwhile. internal_error is a"
            " bug, with a traceback in the operator's log.",
            [
                Query(
                    f"{rate(ERRORS, ALL, by='reason')} > 0",
                    "{{reason}}",
                )
            ],
            unit="suffix: /s",
            runbook="FlamingoReconcileFailing",
        ),
        Panel(
            "Work queue and API writes",
            "Fleets that are due to be reconciled, and writes to the API server per second."
            " Healthy: both near 0 while nothing changes.",
            [
                Query(f"sum({OPERATOR}_queue_depth)", "queued"),
                Query(rate(f"{OPERATOR}_api_writes_total", ALL), "writes/s"),
            ],
        ),
        Panel(
            "Fields of the CRD that differ",
            "Healthy: 0. Otherwise the CustomResourceDefinition is of another release: missing"
            " fields are pruned, unknown ones are ignored. Apply the CRD of the operator's"
            " release.",
            [Query(f"max by (difference) ({OPERATOR}_crd_skew_fields)", "{{difference}}")],
            steps=[(None, GREEN), (1, RED)],
            runbook="FlamingoCRDSkew",
        ),
        Panel(
            "Silence of watches",
            "Time since the last event of the quietest watch. Watches are renewed every few"
            " minutes; a line that only rises is a watch that hangs.",
            [Query(f"max({OPERATOR}_watch_last_event_age_seconds)", "oldest event")],
            unit="s",
        ),
        Panel(
            "Reads of routers",
            "Load reports read from router pods, by result. failed: a NetworkPolicy or the"
            " observe key keeps the operator out, and scaling stands still.",
            [Query(rate(f"{OPERATOR}_router_reads_total", ALL, by="result"), "{{result}}")],
            unit="suffix: /s",
        ),
        Panel(
            "Specs not yet observed",
            "Fleets whose spec is newer than their status. Healthy: 0 but for moments.",
            [
                Query(
                    f"sum({OPERATOR}_generation{{{FLEET}}}"
                    f" > bool {OPERATOR}_observed_generation{{{FLEET}}})",
                    "behind",
                )
            ],
            steps=[(None, GREEN), (1, RED)],
            runbook="FlamingoSpecNotObserved",
        ),
        Panel(
            "Memory of the operator",
            "Resident memory of the operator's replicas.",
            [
                Query(
                    f"process_resident_memory_bytes and on (instance) {OPERATOR}_build_info",
                    "{{pod}}",
                )
            ],
            unit="bytes",
        ),
        Panel(
            "Versions",
            "Versions of operators, routers and server pods. More than one is normal only during"
            " an upgrade.",
            [
                Query(f"count by (version) ({OPERATOR}_build_info)", "operator {{version}}"),
                Query(
                    f"count by (version) (flamingo_router_build_info{{{FLEET}}})",
                    "router {{version}}",
                ),
                Query(
                    f"count by (version) (flamingo_build_info{{{FLEET}}})",
                    "server {{version}}",
                ),
            ],
        ),
    ],
)
