"""What tests of the balancer are made of: limits that refuse little, and load reports."""

from flamingo_common.wire.report import LoadReport
from flamingo_router.balancing.admission_limits import AdmissionLimits

LIMITS = {
    "max_backlog_s": 120.0,
    "queue_threshold_s": 0.5,
    "max_queued": 1000,
    "max_queued_audio_s": 36_000.0,
    "max_wait_s": 60.0,
    "assumed_deadline_s": 1e9,
    "cold_start_hold_s": 600.0,
}


def admission_limits(**changed):
    return AdmissionLimits(**(LIMITS | changed))


def load_report(backlog_s=0.0, *, sequence=1, **changed):
    fields = {
        "model": "m",
        "state": "ready",
        "epoch": "1",
        "sequence": sequence,
        "backlog_s": backlog_s,
        "num_running": 0,
        "num_waiting": 0,
    }
    return LoadReport(**(fields | changed))
