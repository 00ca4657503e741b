"""What `flamingo embed` prints and saves."""

import re

import numpy as np
from fakes import pods


def test_embed_prints_a_summary_and_saves_the_array(flamingo, song, tmp_path):
    out = tmp_path / "song.npy"
    out.write_bytes(b"an older file")

    result = flamingo("embed", song, "--out", str(out))

    assert np.load(out).tolist() == [[0.0, 0.5], [1.0, -0.5]]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["song.mp3", "song.npy"]
    lines = result.stdout.splitlines()
    assert dict(re.split(r"  +", line.strip(), maxsplit=1) for line in lines) == {
        "frames": "2",
        "dimensions": "2",
        "audio": "0.08 s",
        "first values": "0, 0.5",
        "layer": "encoder",
        "model": "fake",
        "saved to": str(out),
    }


def test_missing_directory_is_refused_before_the_request(flamingo, song):
    pod = pods.FakePod()

    result = flamingo("embed", song, "--out", "/nowhere/x.npy", pod=pod)

    assert (result.exit_code, pod.received) == (2, [])
