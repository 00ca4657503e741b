"""The operator's own metrics come under the key file and the CORS setting that it shows."""

import json
import urllib.request

from control_plane.operators import wait_until
from fakes.patience import PATIENCE_S

from flamingo_common.service import keys

KEY = "sk-operator-test"


def test_metrics_need_a_key_where_there_is_a_key_file(here, tmp_path):
    entry = {"name": "prometheus", "sha256": keys.digest_of(KEY), "may": ["observe"]}
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": [entry]}))
    operator = here.start(f"--key-file={path}", "--cors-origin=https://grafana.example.org")

    wait_until(lambda: operator.get("/health/ready")[0] == 200, "it works")
    assert operator.get("/metrics")[0] == 401
    asked = urllib.request.Request(
        operator.url + "/metrics",
        headers={"Authorization": f"Bearer {KEY}", "Origin": "https://grafana.example.org"},
    )
    with urllib.request.urlopen(asked, timeout=PATIENCE_S) as answer:
        assert b"flamingo_operator_queue_depth" in answer.read()
        assert answer.headers["Access-Control-Allow-Origin"] == "https://grafana.example.org"
    assert operator.stop() == 0
