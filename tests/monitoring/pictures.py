"""Draw the panels of the dashboards from the data of a real installation.

    python -m monitoring.pictures [MINUTES]    from the folder tests; three minutes by default

It starts a control plane, the operator, a router, two server pods with the tiny model and the
service of batches, sends requests and batches for some minutes, and writes a picture of each row to
docs/images/dashboards/.
"""

import re
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from charts.helm import OPERATOR, Helm, of_kind
from control_plane.conftest import apply_crd, started
from fakes.kube_programs import program
from monitoring import drawing, installation, panels, prometheus, traffic
from monitoring.drawing import Drawn
from monitoring.prometheus import Prometheus, Series

IMAGES = Path(__file__).parents[2] / "docs" / "images" / "dashboards"
STEP_S = 3.0
WINDOWS = {"__rate_interval": "20s", "__interval": "1s", "__interval_ms": "1000"}
NUM_CLIENTS = 4
NUM_LINES = 60
"""Of each batch."""


def main() -> None:
    """Run the installation under load, and draw what Prometheus has seen."""
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 3.0
    with tempfile.TemporaryDirectory(prefix="fd-") as name:
        folder = Path(name)
        with started(folder / "k") as cluster:
            apply_crd(cluster)
            with installation.running(cluster, folder) as running:
                config = running.scrape_config(_service_monitor(folder))
                prom = program("prometheus", "Debian: apt install prometheus")
                with prometheus.running(prom, config, folder) as scraping:
                    began_s = time.time()
                    _send(running, minutes)
                    scraping.wait_for_scrape()
                    write(scraping, began_s, time.time())


def _send(running: installation.Stack, minutes: float) -> None:
    """Send requests and batches; have a pod drained meanwhile."""
    running.drain_one()
    began_s = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        senders = [pool.submit(send, running, began_s, minutes) for send in (_requests, _batches)]
    for sender in senders:
        sender.result()


def _batches(running: installation.Stack, began_s: float, minutes: float) -> None:
    """Send one batch after the other."""
    while time.monotonic() - began_s < 60 * minutes:
        traffic.send_batch(running.batches.address, num_lines=NUM_LINES)


def _requests(running: installation.Stack, began_s: float, minutes: float) -> None:
    """Send rounds of requests, more at once in the second half."""

    def send(number: int) -> None:
        traffic.send(running.router.address, number, is_checked=False)

    number = 0
    while (gone_s := time.monotonic() - began_s) < 60 * minutes:
        num_clients = 1 if gone_s < 30 * minutes else NUM_CLIENTS
        with ThreadPoolExecutor(num_clients) as pool:
            rounds = range(number, number + num_clients)
            list(pool.map(send, rounds))
        number += num_clients


def _service_monitor(folder: Path) -> dict[str, Any]:
    helm = Helm(program("helm", "see https://helm.sh/docs/intro/install"), folder / "helm")
    flags = ("--api-versions=monitoring.coreos.com/v1/ServiceMonitor",)
    rendered = helm.render(OPERATOR, {"serviceMonitor": {"enabled": True}}, *flags)
    return of_kind(rendered, "ServiceMonitor")


def write(scraping: Prometheus, from_s: float, to_s: float) -> None:
    """Write a picture of each row."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    for name, dashboard in panels.dashboards().items():
        for title, row in rows(dashboard).items():
            data = {panel["id"]: [*_drawn(scraping, panel, name, from_s, to_s)] for panel in row}
            path = IMAGES / f"{name}-{slug(title)}.svg"
            path.write_text(drawing.row(row, data), encoding="utf-8")


def rows(dashboard: Mapping[str, Any]) -> dict[str, list[Mapping[str, Any]]]:
    """Return the panels of each row by its title."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            current = found.setdefault(panel["title"], list(panel["panels"]))
        else:
            current.append(panel)
    return found


def slug(title: str) -> str:
    """Return a title as a part of a file's name."""
    return re.sub(r"\W+", "-", title.lower()).strip("-")


def _drawn(
    scraping: Prometheus, panel: Mapping[str, Any], name: str, from_s: float, to_s: float
) -> Iterator[Drawn]:
    window = {"__range": f"{to_s - from_s:.0f}s", **WINDOWS}
    for target in panel["targets"]:
        query = panels.PanelQuery(name, panel, target)
        chosen = {
            "namespace": installation.NAMESPACE,
            "name": f"{installation.FLEET}|{installation.BLOCKED}",
        }
        expr = query.substituted(**chosen, **window)
        for series in _answers(scraping, target["instant"], expr, (from_s, to_s)):
            yield Drawn(legend(target["legendFormat"], series), series)


def _answers(
    scraping: Prometheus, is_instant: bool, expr: str, between: Sequence[float]
) -> list[Series]:
    from_s, to_s = between
    if is_instant:
        return scraping.query(expr, at_s=to_s)
    return scraping.query_range(expr, from_s=from_s, to_s=to_s, step_s=STEP_S)


def legend(pattern: str, series: Series) -> str:
    """Return the legend of a series, as Grafana would."""
    return re.sub(r"{{(\w+)}}", lambda match: series.labels.get(match[1], ""), pattern)


if __name__ == "__main__":
    main()
