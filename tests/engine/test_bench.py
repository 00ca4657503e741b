"""The benchmark end to end, small: every engine gives the tokens of `generate`."""

import json
import subprocess
import sys

import pytest

RUN = [sys.executable, "-P", "-m", "flamingo_pod.bench", "engine", "--quick"]


def bench(*flags):
    return subprocess.run([*RUN, *flags], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def quick(model_cache, tmp_path_factory):
    out = tmp_path_factory.mktemp("bench") / "out.json"
    done = bench("--engines", "generate,static,flamingo", "--markdown", "--out", str(out))
    assert done.returncode == 0, done.stderr
    return done, json.loads(out.read_text())


def test_every_engine_gives_the_same_tokens(quick):
    _, report = quick
    rows = {row["engine"]: row for row in report["rows"]}
    assert {"generate", "static", "flamingo"} <= {*rows}
    for name in ("static", "flamingo"):
        assert rows[name]["num_exact"] == rows[name]["num_requests"] == 9, name
        assert rows[name]["num_tokens"] == rows["generate"]["num_tokens"], name


def test_every_engine_is_measured(quick):
    _, report = quick
    for row in report["rows"]:
        assert row["cpu_s"] > 0
        assert row["wall_s"] > 0
        assert row["peak_rss_bytes"] > 50_000_000
    ours = report["rounds"][0]["flamingo"]
    assert {"mel", "encode", "prefill", "decode", "detokenize"} <= {*ours["stages_s"]}
    follow_ups = ours["follow_ups"]
    assert len(follow_ups["computed"]) == len(follow_ups["new"]) == 3
    pairs = zip(follow_ups["computed"], follow_ups["new"], strict=True)
    assert all(0 < new <= computed + 1e-9 <= 1 for computed, new in pairs)


def test_the_table_names_engines_command_and_machine(quick):
    done, report = quick
    assert done.stdout.startswith("| engine | CPU-s |")
    assert "\n| flamingo |" in done.stdout
    assert f"on {report['machine']['cpu']}, " in done.stdout
    assert "`flamingo bench engine --quick" in done.stdout


def test_a_failing_engine_is_reported_and_fails_the_command(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    done = bench("--engines", "flamingo", "--model", str(tmp_path))
    assert done.returncode == 1
    assert f"flamingo: failed: {tmp_path} has neither model.safetensors" in done.stdout
