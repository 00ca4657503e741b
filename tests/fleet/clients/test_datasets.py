"""Our outputs in Hugging Face's `datasets`, and Ray Data as a client: the examples of the page."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from documents import selections
from fakes.clients import Client

CLUSTER = "http://music.audio.svc"
QUIET = {"HF_HUB_OFFLINE": "1", "RAY_USAGE_STATS_ENABLED": "0"}
EXAMPLES = {block.text.split()[1]: block.text for block in selections.DATASETS.commands()}
"""By what they import first."""


@pytest.fixture(scope="module")
def songs(tmp_path_factory, clips):
    """A folder with a folder of songs."""
    folder = tmp_path_factory.mktemp("datasets")
    (folder / "songs").mkdir()
    for number in range(3):
        (folder / "songs" / f"{number}.mp3").write_bytes(clips["notes.mp3"])
    return folder


def batch(folder, fleet, *args):
    command = [Path(sys.executable).with_name("flamingo"), "batch", "songs", *args]
    url = ("--url", fleet[0].address)
    subprocess.run([*command, *url], cwd=folder, check=True, timeout=120)


def run(folder, text, tmp_path):
    """Run an example in `folder`; return the last line that it prints, which is JSON."""
    program = folder / "example.py"
    program.write_text(text, encoding="utf-8")
    environ = QUIET | {"HOME": str(tmp_path), "HF_HOME": str(tmp_path / "hf")}
    printed = Client(program.name, "datasets", environ).run(program, {})
    return json.loads(printed.splitlines()[-1])


def test_datasets_reads_audiofolder_and_parquet(songs, fleet, tmp_path):
    batch(songs, fleet, "-o", "dataset", "--output-format", "audiofolder", "--style", "brief")
    batch(songs, fleet, "-o", "parts", "--output-format", "parquet", "--task", "analyze")
    shown = """
import json
clips = songs.cast_column("audio", songs.features["audio"].__class__(decode=False))
vectors = [len(row["embedding"]) for row in captions]
print(json.dumps({
    "clips": [[open(row["audio"]["path"], "rb").read().hex(), row["caption"]] for row in clips],
    "captions": sorted(captions["key"]), "vectors": vectors,
}))
"""
    found = run(songs, EXAMPLES["datasets"] + shown, tmp_path)
    clip = (songs / "songs" / "0.mp3").read_bytes().hex()
    lines = (songs / "dataset" / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
    rows = map(json.loads, lines)
    assert sorted(found["clips"]) == sorted([clip, row["caption"]] for row in rows)
    assert found["captions"] == ["0.mp3", "1.mp3", "2.mp3"]
    assert len(set(found["vectors"])) == 1, "a list of fixed size"


def test_ray_data_sends_a_dataset_to_a_fleet(songs, fleet, tmp_path):
    example = (
        EXAMPLES["base64"].replace(CLUSTER, fleet[0].address).replace("MODEL", "flamingo-tiny")
    )
    shown = """
import json
rows = ray.data.read_parquet("captions/").take_all()
print(json.dumps([row["caption"] for row in rows]))
"""
    captions = run(songs, example + shown, tmp_path)
    assert len(captions) == 3
    assert len(set(captions)) == 1, "the clips are equal"
    assert captions[0]
