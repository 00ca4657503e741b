"""The router's report of its fleet: `GET /fleet`.

Pure.
"""

from flamingo_common.wire.report import ArrivalReport, EndpointReport, FleetReport, QueueReport
from flamingo_router.balancing import fleet
from flamingo_router.balancing.balancer import Balancer
from flamingo_router.balancing.endpoint import Endpoint

WINDOWS_S = (60.0, 300.0)


def fleet_report(balancer: Balancer, *, now_s: float) -> FleetReport:
    """Return the endpoints, the queue and the arrival rates, for the operator and users."""
    endpoints = balancer.fleet.endpoints(now_s=now_s)
    is_cold = not any(endpoint.is_ready for endpoint in endpoints)
    queue = _queue_report(balancer, now_s)
    return FleetReport(
        endpoints=[_endpoint_report(balancer, endpoint) for endpoint in endpoints],
        queue=queue,
        arrivals=[_arrival_report(balancer, window_s, now_s) for window_s in WINDOWS_S],
        cold=is_cold,
        holding_s=queue.oldest_s if is_cold else 0.0,
        completed_audio_s=balancer.completed_audio_s,
    )


def _endpoint_report(balancer: Balancer, endpoint: Endpoint) -> EndpointReport:
    load = endpoint.load
    return EndpointReport(
        address=endpoint.address,
        ready=endpoint.is_ready,
        backlog_s=endpoint.backlog_s,
        queued_s=endpoint.queued_s,
        num_open=endpoint.num_in_flight,
        speed=balancer.costs.slowdown(endpoint.address),
        ejected=endpoint.reason == fleet.EJECTED,
        reason=endpoint.reason,
        num_clips=len(load.clips) if load else 0,
        # A thousand clip names per pod would be most of the response, and no client reads them.
        load=load.model_copy(update={"clips": [], "held_clips": None}) if load else None,
    )


def _queue_report(balancer: Balancer, now_s: float) -> QueueReport:
    queue = balancer.queue
    oldest_since_s = queue.oldest_since_s()
    return QueueReport(
        num=len(queue),
        audio_s=queue.audio_s,
        work_s=queue.work_s,
        oldest_s=0.0 if oldest_since_s is None else now_s - oldest_since_s,
    )


def _arrival_report(balancer: Balancer, window_s: float, now_s: float) -> ArrivalReport:
    rate = balancer.arrivals.rate(window_s, now_s=now_s)
    return ArrivalReport(
        window_s=window_s,
        covered_s=balancer.arrivals.covered_s(window_s, now_s=now_s),
        num=rate.num,
        audio_s=rate.audio_s,
        work_s=rate.work_s,
    )
