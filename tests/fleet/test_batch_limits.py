"""What a batch does at its limits, and when it is interrupted, with a server that only answers."""

import json
import resource
import signal

from fakes import batch_kills
from fakes.patience import PATIENCE_S

MAX_GROWTH_MB = 30
"""A million lines are a benchmark: tests/bench/batch_memory.py."""


def test_the_length_of_a_batch_needs_no_memory(tmp_path):
    manifest, num_lines = tmp_path / "manifest.jsonl", 10_000
    batch_kills.write_manifest(manifest, num_lines)
    with batch_kills.stub_fleet() as address:
        counts = batch_kills.finish(batch_kills.start(address, manifest, tmp_path / "out"))

    assert counts["num_done"] == num_lines
    assert counts["grown_mb"] < MAX_GROWTH_MB


def test_a_full_disk_ends_a_batch_with_what_to_do_and_nothing_is_lost(tmp_path):
    manifest, output = tmp_path / "manifest.jsonl", tmp_path / "out"
    batch_kills.write_manifest(manifest, 500)
    with batch_kills.stub_fleet() as address:
        batch = batch_kills.start(address, manifest, output)
        resource.prlimit(batch.pid, resource.RLIMIT_FSIZE, (100_000, 100_000))
        _, err = batch.communicate(timeout=PATIENCE_S)
        assert batch.returncode == 1
        assert "OutputFailed: cannot write the output" in err.decode()
        assert "file too large). The " in err.decode()
        kept = [json.loads(line)["key"] for line in batch_kills.lines(output)]
        assert f"The {len(kept)} results that it has are kept" in err.decode()

        counts = batch_kills.finish(batch_kills.start(address, manifest, output))
    assert (counts["num_skipped"], counts["num_done"]) == (len(kept), 500 - len(kept))
    assert len(batch_kills.results(output)) == 500


def test_an_interrupt_loses_only_what_is_in_flight(tmp_path):
    manifest, output, concurrency = tmp_path / "manifest.jsonl", tmp_path / "out", 4
    batch_kills.write_manifest(manifest, 1500)
    with batch_kills.stub_fleet() as address:
        batch = batch_kills.start(address, manifest, output, concurrency=concurrency)
        batch_kills.wait_for_lines(output, 100, batch)
        batch.send_signal(signal.SIGINT)
        _, err = batch.communicate(timeout=PATIENCE_S)
        assert err.decode().rstrip().endswith("KeyboardInterrupt")
        assert 100 <= len(batch_kills.lines(output)) < 1500
        batch_kills.finish(batch_kills.start(address, manifest, output, concurrency=concurrency))

    captions = batch_kills.results(output).values()
    assert len(captions) == 1500
    num_answers = max(int(caption[:10]) for caption in captions)
    assert num_answers - 1500 <= concurrency
