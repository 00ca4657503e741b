"""`process_manifest`, over a real socket."""

import asyncio
import json
import re

import numpy as np
import pytest
from contract.packages import ROOT
from fakes import pods

from flamingo import process_manifest
from flamingo.batch.failures import BatchUnfinished
from flamingo_common import errors


@pytest.fixture
def manifest(tmp_path):
    (tmp_path / "songs").mkdir()
    for name in "ab":
        (tmp_path / "songs" / f"{name}.wav").write_bytes(b"RIFF")
    lines = [{"audio": f"songs/{name}.wav", "title": name.upper()} for name in "ab"]
    path = tmp_path / "dataset.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def processed(manifest, folder, pod=None, **options):
    pod = pod or pods.FakePod()

    async def scenario():
        async with pods.running(pod) as address:
            return await process_manifest(manifest, folder, address, **options)

    return asyncio.run(scenario()), pod


def test_each_line_has_its_own_fields_and_the_results(manifest, tmp_path):
    path, _ = processed(manifest, tmp_path / "enriched")

    assert path == tmp_path / "enriched" / "dataset.jsonl"
    lines = sorted(map(json.loads, path.read_text().splitlines()), key=lambda line: line["title"])
    assert [line["title"] for line in lines] == ["A", "B"]
    assert lines[0]["caption"] == "a quiet song"
    assert lines[0]["embedding_file"] == "embeddings/dataset.jsonl:1.npy"
    assert np.load(path.parent / lines[0]["embedding_file"]).shape == (2, 2)


def test_a_second_call_sends_nothing(manifest, tmp_path):
    processed(manifest, tmp_path / "enriched")
    _, pod = processed(manifest, tmp_path / "enriched")

    assert pod.received == []


def test_what_could_not_be_processed_now_is_an_error_at_the_end(manifest, tmp_path):
    pod = pods.FakePod(fails_with=errors.ClipQuarantined("crashed"), num_failures=1)

    with pytest.raises(BatchUnfinished, match="1 lines could not be processed now"):
        processed(manifest, tmp_path / "enriched", pod=pod)
    _, pod = processed(manifest, tmp_path / "enriched")
    assert len(pod.received) == 1


@pytest.mark.parametrize("folder", [".", "songs/.."])
def test_the_manifest_itself_is_never_replaced(manifest, folder):
    with pytest.raises(errors.BadRequest, match="the output would replace the manifest"):
        processed(manifest, manifest.parent / folder)
    assert "caption" not in manifest.read_text()


def test_its_options_are_those_of_an_analysis(manifest, tmp_path):
    _, pod = processed(manifest, tmp_path / "enriched", style="brief", pooling="mean")

    assert all(b'"style": "brief"' in received.body for received in pod.received)
    assert all(b'"pooling": "mean"' in received.body for received in pod.received)


SEED_README = """
import asyncio
from flamingo import AsyncFlamingoClient

async def main():
    async with AsyncFlamingoClient(base_url="http://localhost:8000") as client:
        # Single request
        result = await client.analyze("song.wav")

        # Batch processing with concurrency
        audio_files = ["song1.wav", "song2.wav", "song3.wav"]
        async for path, result in client.batch_analyze(
            audio_files,
            output_dir="embeddings/",
            concurrency=16
        ):
            if not isinstance(result, Exception):
                print(f"{path}: {result.caption[:50]}...")

asyncio.run(main())
"""
SEED_MANIFEST = """
from flamingo import process_manifest

# Enrich a JSONL manifest with Flamingo captions and embeddings
output_path = await process_manifest(
    manifest_path="dataset.jsonl",
    output_dir="enriched/",
    server_url="http://localhost:8000",
    concurrency=16
)
"""


def run_there(program, folder, monkeypatch):
    """Run a program that expects a fleet at port 8000, in `folder`."""
    monkeypatch.chdir(folder)
    with pods.served(pods.FakePod()) as address:
        names = {}
        exec(program.replace("http://localhost:8000", address), names)  # noqa: S102
        return names


def test_the_batch_of_the_projects_first_readme_runs(tmp_path, monkeypatch, capsys):
    for name in ("song.wav", "song1.wav", "song2.wav", "song3.wav"):
        (tmp_path / name).write_bytes(b"RIFF")
    run_there(SEED_README, tmp_path, monkeypatch)

    lines = re.findall(r"^song\d.wav: a quiet song\.\.\.$", capsys.readouterr().out, re.MULTILINE)
    assert len(lines) == 3
    assert np.load(tmp_path / "embeddings" / "song1.wav.npy").shape == (2, 2)


def test_the_manifest_of_the_projects_first_readme_is_enriched(manifest, monkeypatch):
    # The example awaits at the top level, as in a notebook.
    body = SEED_MANIFEST.replace("\n", "\n    ").rstrip()
    program = f"import asyncio\nasync def main():{body}\n    return output_path\n"
    names = run_there(f"{program}\nresult = asyncio.run(main())\n", manifest.parent, monkeypatch)

    assert len(names["result"].read_text().splitlines()) == 2
    assert ROOT not in names["result"].absolute().parents
