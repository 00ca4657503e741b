"""The dashboard of the operator: fleets against their specs, scaling, cost, and its own health.

Pure.
"""

from typing import Final

from dashboard_health import HEALTH
from grafana import FLEET, Dashboard, Panel, Query, Row, stat

A_FLEET: Final = "{{namespace}}/{{name}}"
OPERATOR: Final = "flamingo_operator"
ERRORS: Final = f"{OPERATOR}_reconcile_errors_total"
NORMALLY_TRUE: Final = (
    "Ready|Progressing|Accepted|RouterReady|BatchesReady|Exposed|ModelCached|ScalingActive"
)
NORMALLY_FALSE: Final = "Stalled|Degraded|Reconciling|ScalingLimited"
GREEN, RED, GREY = "green", "red", "text"
ALL: Final = ""
"""Metrics of the operator's process are not about one fleet."""


def gauge(metric: str, legend: str = A_FLEET, labels: str = "") -> Query:
    """Return the query of a gauge of each fleet."""
    return Query(f"{OPERATOR}_{metric}{{{FLEET}{labels}}}", legend)


def replicas(state: str) -> str:
    """Return the number of server pods in a state."""
    return f'{OPERATOR}_replicas{{{FLEET}, state="{state}"}}'


def over_range(metric: str, by: str = "") -> str:
    """Return a gauge per hour, summed up over the time range of the dashboard.

    A fleet that existed during a part of the range counts for that part.
    """
    grouping = f" by ({by})" if by else ""
    samples = f"sum{grouping} ({OPERATOR}_{metric}{{{FLEET}}})"
    return f"sum_over_time({samples}[$__range:$__interval]) * $__interval_ms / 3600000"


def conditions(types: str) -> list[Query]:
    """Return the query of conditions as a timeline."""
    return [Query(f'{OPERATOR}_condition{{{FLEET}, type=~"{types}"}}', f"{A_FLEET} {{{{type}}}}")]


OVERVIEW: Final = Row(
    "Overview",
    [
        stat(
            Panel(
                "Fleets",
                "FlamingoDeployments that the operator looks after.",
                [Query(f"count({OPERATOR}_generation{{{FLEET}}})", "fleets")],
            )
        ),
        stat(
            Panel(
                "Fleets that are not ready",
                "Healthy: 0. kubectl flamingo status NAME shows why.",
                [
                    Query(
                        f'sum({OPERATOR}_condition{{{FLEET}, type="Ready"}} < bool 1)',
                        "not ready",
                    )
                ],
                steps=[(None, GREEN), (1, RED)],
                runbook="FlamingoNoReadyPods",
            )
        ),
        stat(
            Panel(
                "Ready of desired server pods",
                "Healthy: 100 %. Less during a rollout or while scaling up is normal.",
                [
                    Query(
                        f"sum({replicas('ready')})"
                        f" / (sum({OPERATOR}_desired_replicas{{{FLEET}}}) > 0)",
                        "ready",
                    )
                ],
                unit="percentunit",
                steps=[(None, RED), (0.5, "orange"), (1, GREEN)],
            )
        ),
        stat(
            Panel(
                "GPUs",
                "GPUs that server pods have now.",
                [Query(f"sum({OPERATOR}_gpus{{{FLEET}}})", "GPUs")],
            )
        ),
        stat(
            Panel(
                "Leaders",
                "Replicas of the operator that lead. Healthy: exactly 1. With 0, fleets go on"
                " serving but nothing is scaled or replaced.",
                [Query(f"sum({OPERATOR}_leader)", "leaders")],
                steps=[(None, RED), (1, GREEN), (2, RED)],
                runbook="FlamingoOperatorNoLeader",
            )
        ),
        stat(
            Panel(
                "Cold start, p95",
                "From the creation of a server pod until it is ready, over the time range."
                " Scaling up takes at least this long: keep a reserve if it is longer than clients"
                " wait.",
                [
                    Query(
                        "histogram_quantile(0.95, sum by (le)"
                        f' (increase({OPERATOR}_cold_start_seconds_bucket{{phase="total"}}'
                        "[$__range]))) >= 0",  # NaN, without cold starts, is not
                        "p95",
                        is_instant=True,
                    )
                ],
                unit="s",
            )
        ),
    ],
)

FLEETS: Final = Row(
    "Fleets and rollouts",
    [
        Panel(
            "Desired, ready and updated server pods",
            "Healthy: all three are equal. ready below desired: pods start or fail. updated below"
            " ready: a rollout is under way, or was rolled back.",
            [
                gauge("desired_replicas", f"{A_FLEET} desired"),
                Query(replicas("ready"), f"{A_FLEET} ready"),
                Query(replicas("updated"), f"{A_FLEET} updated"),
            ],
        ),
        Panel(
            "Server pods on the way",
            "Pods that wait for a node (pending), load the model (loading) or finish their"
            " requests before they are removed (draining). Long pending: no free GPU.",
            [
                Query(
                    f"sum by (state) ({OPERATOR}_replicas"
                    f'{{{FLEET}, state=~"pending|loading|draining"}})',
                    "{{state}}",
                )
            ],
            is_stacked=True,
        ),
        Panel(
            "Failing pods by cause",
            "Pods that fail or cannot be created. Healthy: none. The reason has a hint in kubectl"
            " flamingo status and a row in docs/conditions.md.",
            [gauge("failing_pods", f"{A_FLEET} {{{{component}}}} {{{{reason}}}}")],
            steps=[(None, GREEN), (1, RED)],
            runbook="FlamingoPodsFailing",
        ),
        Panel(
            "Conditions that are normally True",
            "Green: True, red: False, grey: Unknown. Each type is described in docs/conditions.md.",
            conditions(NORMALLY_TRUE),
            kind="state-timeline",
            mappings={"1": ("True", GREEN), "0": ("False", RED), "-1": ("Unknown", GREY)},
        ),
        Panel(
            "Conditions that are normally False",
            "Green: False, red: True, grey: Unknown. Reconciling and ScalingLimited are no"
            " failures, but should not stay.",
            conditions(NORMALLY_FALSE),
            kind="state-timeline",
            mappings={"0": ("False", GREEN), "1": ("True", RED), "-1": ("Unknown", GREY)},
        ),
        Panel(
            "Reasons",
            "The reasons of the conditions now. docs/conditions.md says what each means.",
            [
                Query(
                    f"sum by (namespace, name, type, status, reason)"
                    f" ({OPERATOR}_condition_reason{{{FLEET}}})",
                    is_instant=True,
                )
            ],
            kind="table",
        ),
    ],
)

SCALING: Final = Row(
    "Scaling",
    [
        Panel(
            "Demand and desired server pods",
            "What the demand needs before limits, in scaling mode Internal, and what is desired."
            " Demand above desired for long: raise scaling.maxReplicas or look at the bound.",
            [
                gauge("demand_servers", f"{A_FLEET} demand"),
                gauge("desired_replicas", f"{A_FLEET} desired"),
                gauge("reserve_replicas", f"{A_FLEET} reserve"),
            ],
        ),
        Panel(
            "Scale decisions by bound",
            "Changes of the desired number, in the last hour, by what limited them. Many of them"
            " up and down: raise scaling.scaleDown.stabilizationSeconds.",
            [
                Query(
                    f"sum by (bound) (increase({OPERATOR}_scale_decisions_total{{{FLEET}}}[1h]))",
                    "{{bound}}",
                )
            ],
        ),
        Panel(
            "Capacity of a server pod",
            "Seconds of audio that one server pod handles per second, as measured. Scaling by"
            " arriving audio uses it; a fall without a change of traffic is a slower GPU.",
            [gauge("capacity_audio_seconds_per_second")],
            unit="suffix: s/s",
        ),
        Panel(
            "Cold starts by phase",
            "Mean duration of each phase over the time range: schedule (a node and GPU),"
            " image_pull, fetch (model files), load, warmup. The longest one is what to shorten: a"
            " cache volume for fetch, a pre-pulled image for image_pull.",
            [
                Query(
                    f'sum by (phase) (increase({OPERATOR}_cold_start_seconds_sum{{phase!="total"}}'
                    "[$__range])) / (sum by (phase)"
                    f' (increase({OPERATOR}_cold_start_seconds_count{{phase!="total"}}[$__range]))'
                    " > 0)",
                    "{{phase}}",
                    is_instant=True,
                )
            ],
            unit="s",
            kind="bargauge",
        ),
        Panel(
            "Drains by result",
            "Drains that ended in the last hour. finished is healthy. deadline: requests were cut"
            " off, so raise spec.drain.deadlineSeconds. cancelled: the pod was needed again.",
            [
                Query(
                    f"sum by (result) (increase({OPERATOR}_drains_total{{{FLEET}}}[1h]))",
                    "{{result}}",
                )
            ],
        ),
        Panel(
            "Avoided nodes and outdated pods",
            "Nodes that get no server pods because a GPU there failed: check the node, then name"
            " it in the annotation flamingo.dev/trusted-nodes. Pods on the default image of"
            " another release: kubectl flamingo restart.",
            [
                gauge("avoided_nodes", f"{A_FLEET} avoided nodes"),
                gauge("outdated_pods", f"{A_FLEET} outdated {{{{component}}}} pods"),
            ],
        ),
    ],
)

COST: Final = Row(
    "Cost",
    [
        Panel(
            "GPUs",
            "GPUs that server pods have, with those that start or drain.",
            [gauge("gpus")],
            is_stacked=True,
        ),
        Panel(
            "Cost per hour",
            "What the GPUs cost at the price in spec.cost. Without a price there is no data.",
            [gauge("cost_per_hour", f"{A_FLEET} {{{{currency}}}}")],
            is_stacked=True,
        ),
        Panel(
            "Cost of an hour of audio",
            "At the measured capacity and full utilization: what a busy fleet pays. The"
            " difference to cost per hour divided by audio-hours per hour is idle time.",
            [gauge("cost_per_audio_hour", f"{A_FLEET} {{{{currency}}}}")],
        ),
        Panel(
            "GPU-hours in the time range",
            "Hours of GPUs that were used in the time range of the dashboard.",
            [Query(over_range("gpus"), "GPU-hours", is_instant=True)],
            unit="h",
            kind="stat",
            width=12,
            height=4,
        ),
        Panel(
            "Cost in the time range",
            "Cost of these GPU-hours, by currency.",
            [Query(over_range("cost_per_hour", "currency"), "{{currency}}", is_instant=True)],
            kind="stat",
            width=12,
            height=4,
        ),
    ],
)

DASHBOARD: Final = Dashboard(
    uid="flamingo-operator",
    title="Flamingo / Operator and scaling",
    description="Fleets against their specs: rollouts, scaling, cost, and the operator itself.",
    rows=[OVERVIEW, FLEETS, SCALING, COST, HEALTH],
)
