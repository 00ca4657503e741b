"""The operator while there is no CustomResourceDefinition, on a control plane of its own."""

import tempfile
from pathlib import Path

from control_plane.conftest import CRD, apply_crd, started
from control_plane.operators import site, wait_until


def test_an_operator_waits_for_its_kind_and_outlives_its_replacement(tmp_path):
    with (
        tempfile.TemporaryDirectory(prefix="fd-") as folder,
        started(Path(folder) / "k") as cluster,
        site(cluster, "early", tmp_path) as here,
    ):
        operator = here.start("--no-leader-election")
        wait_until(lambda: "is not installed" in operator.log.read_text(), "it logs that")
        apply_crd(cluster)
        here.create(name="first")
        wait_until(lambda: here.status("first"), "it is seen")
        cluster.output("delete", "-f", str(CRD))
        wait_until(
            lambda: operator.log.read_text().count("is not installed") > 1, "it logs that again"
        )
        apply_crd(cluster)
        here.create(name="second")
        wait_until(lambda: here.status("second"), "it is seen")
        assert operator.get("/health/live")[0] == 200
