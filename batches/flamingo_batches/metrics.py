"""The Prometheus metrics of the service of batches."""

from importlib import metadata

from prometheus_client import Counter, Gauge

from flamingo_batches.records import STATUSES
from flamingo_common.service import exposition

OUTCOMES = ("completed", "failed", "expired", "cancelled")


class Metrics:
    """One replica's metrics. What the database holds is the same from every replica."""

    def __init__(self) -> None:
        self.registry = exposition.create_registry()
        build_info = Gauge(
            "flamingo_batches_build_info",
            "Version of the service of batches; always 1.",
            ["version"],
            registry=self.registry,
        )
        build_info.labels(metadata.version("flamingo-fleet")).set(1)
        self.requests = Counter(
            "flamingo_batches_requests",
            "HTTP requests, by method, route and status code; 499: the client disconnected.",
            ["method", "route", "code"],
            registry=self.registry,
        )
        self.batches = Gauge(
            "flamingo_batches_batches",
            "Batches in the database, by state.",
            ["state"],
            registry=self.registry,
        )
        for status in STATUSES:
            self.batches.labels(status)
        self.backlog_lines = Gauge(
            "flamingo_batches_backlog_lines",
            "Lines of batches in progress, in the database, that have no result.",
            registry=self.registry,
        )
        self.stored_bytes = Gauge(
            "flamingo_batches_stored_bytes",
            "Bytes of all files, according to the database.",
            registry=self.registry,
        )
        self._create_work_metrics()

    def _create_work_metrics(self) -> None:
        self.lines = Counter(
            "flamingo_batches_lines",
            "Lines that this replica has recorded, by outcome.",
            ["outcome"],
            registry=self.registry,
        )
        for outcome in OUTCOMES:
            self.lines.labels(outcome)
        self.retries = Counter(
            "flamingo_batches_retries",
            "Lines sent again, by the error code of the attempt.",
            ["code"],
            registry=self.registry,
        )
        self.running_batches = Gauge(
            "flamingo_batches_running_batches",
            "Batches that this replica works on.",
            registry=self.registry,
        )
        self.lines_in_flight = Gauge(
            "flamingo_batches_lines_in_flight",
            "Lines that this replica waits for an answer to.",
            registry=self.registry,
        )
        self.concurrency_limit = Gauge(
            "flamingo_batches_concurrency_limit",
            "Lines that this replica has in flight at most, at present.",
            registry=self.registry,
        )
        self.database_connected = Gauge(
            "flamingo_batches_database_connected",
            "1 if the last transaction reached the database, 0 if not.",
            registry=self.registry,
        )
