"""The benchmark end to end, small: every engine says what `generate` says."""

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
    done = bench("--engines", "generate,static,vllm,ours", "--markdown", "--out", str(out))
    assert done.returncode == 0, done.stderr
    return done, json.loads(out.read_text())


def test_every_engine_says_the_same_tokens(quick):
    _, report = quick
    rows = {row["engine"]: row for row in report["rows"]}
    assert {"generate", "static", "ours"} <= {*rows}
    for name in ("static", "ours"):
        assert rows[name]["num_exact"] == rows[name]["num_requests"] == 9, name
        assert rows[name]["num_tokens"] == rows["generate"]["num_tokens"], name


def test_every_engine_is_measured(quick):
    _, report = quick
    for row in report["rows"]:
        assert row["cpu_s"] > 0
        assert row["wall_s"] > 0
        assert row["peak_rss_bytes"] > 50_000_000
    ours_told = report["repeats"][0]["ours"]
    assert {"mel", "encode", "prefill", "decode", "detokenise"} <= {*ours_told["stages_s"]}
    follow_ups = ours_told["follow_ups"]
    assert len(follow_ups["shares"]) == len(follow_ups["least"]) == 3
    pairs = zip(follow_ups["shares"], follow_ups["least"], strict=True)
    assert all(0 < least <= share + 1e-9 <= 1 for share, least in pairs)


def test_the_table_names_engines_command_and_machine(quick):
    done, report = quick
    assert done.stdout.startswith("| engine | CPU-s |")
    assert "\n| ours |" in done.stdout
    assert f"on {report['machine']['cpu']}, " in done.stdout
    assert "`flamingo bench engine --quick" in done.stdout


def test_an_engine_that_fails_is_told_and_the_status_says_so(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    done = bench("--engines", "ours", "--model", str(tmp_path))
    assert done.returncode == 1
    assert f"ours: failed: {tmp_path} has neither model.safetensors" in done.stdout
