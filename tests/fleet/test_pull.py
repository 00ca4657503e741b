"""`flamingo pull`, as a preload job runs it, against a hub on loopback."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fakes import hub as hubs
from fakes.patience import PATIENCE_S

from flamingo_common.service.exit_status import ExitStatus
from flamingo_pod.model.builtin import build

PULL = [sys.executable, "-P", "-m", "flamingo_pod.pull"]
WEIGHTS = "model.safetensors"
BLOCK_BYTES = 10 * 2**20
"""What huggingface_hub reads at once, which a kill may cost."""


@pytest.fixture(scope="module")
def tiny_folder(model_cache):
    return build.ensure_built("flamingo-tiny", model_cache)


@pytest.fixture
def hub(tiny_folder):
    with hubs.running(hubs.FakeHub(tiny_folder)) as running:
        yield running


def environ(hub, home, **more):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    return kept | hub.environ | {"HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1"} | more


def pull(hub, home, *args, model=None, **more):
    """Return (exit status, standard output, standard error)."""
    done = subprocess.run(
        [*PULL, model or hub.repo, *args],
        env=environ(hub, home, **more),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    return done.returncode, done.stdout.strip(), done.stderr


def names(folder):
    return {path.name for path in Path(folder).iterdir()}


def test_only_the_checkpoints_files_are_pulled(hub, tmp_path, tiny_folder):
    folder = shutil.copytree(tiny_folder, tmp_path / "repo")
    for name in ("pytorch_model.bin", "modeling_evil.py", "README.md", "weights.pkl"):
        (folder / name).write_bytes(b"never")
    hub.folder = folder

    status, found, stderr = pull(hub, tmp_path)

    assert status == ExitStatus.OK, stderr
    assert found.endswith(f"snapshots/{hubs.COMMIT}")
    assert names(found) == names(tiny_folder)
    assert set(hub.sent) == names(tiny_folder)


def test_a_second_pull_downloads_nothing(hub, tmp_path):
    first = pull(hub, tmp_path)
    sent = dict(hub.sent)

    assert pull(hub, tmp_path)[:2] == first[:2]
    assert pull(hub, tmp_path, HF_HUB_OFFLINE="1")[:2] == first[:2]
    assert hub.sent == sent


def test_a_killed_pull_is_resumed(hub, tmp_path, model_cache):
    hub.folder = build.ensure_built("flamingo-tiny-27m", model_cache)
    size = (hub.folder / WEIGHTS).stat().st_size
    hub.pause_after[WEIGHTS] = 60_000_000
    killed = subprocess.Popen([*PULL, hub.repo], env=environ(hub, tmp_path))
    assert hub.is_paused.wait(PATIENCE_S)
    wait_for(lambda: part_bytes(tmp_path) > 60_000_000 - 2 * BLOCK_BYTES)
    killed.kill()
    killed.wait()
    hub.resume.set()

    status, _, stderr = pull(hub, tmp_path)

    assert status == ExitStatus.OK, stderr
    assert hub.sent[WEIGHTS] <= size + 2 * BLOCK_BYTES
    assert not list(tmp_path.rglob("*.part"))


def part_bytes(home):
    return sum(path.stat().st_size for path in home.rglob("*.part"))


def wait_for(condition):
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)  # between two looks at another process's file


def part_left_behind(hub, home, content):
    """Leave what a killed pull leaves: the first bytes of the weights."""
    blobs = home / "hub" / "models--music--tiny" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / f"{hub.etag(WEIGHTS)}.part").write_bytes(content)


def test_without_range_requests_a_download_starts_over(hub, tmp_path, tiny_folder):
    part_left_behind(hub, tmp_path, (tiny_folder / WEIGHTS).read_bytes()[:100_000])
    hub.has_ranges = False
    assert pull(hub, tmp_path)[0] == ExitStatus.OK
    assert hub.sent[WEIGHTS] == (tiny_folder / WEIGHTS).stat().st_size


def test_a_wrong_partial_file_is_found_by_its_hash_and_downloaded_again(hub, tmp_path, tiny_folder):
    part_left_behind(hub, tmp_path, bytes(100_000))
    status, found, _ = pull(hub, tmp_path)
    assert status == ExitStatus.OK
    assert (Path(found) / WEIGHTS).read_bytes() == (tiny_folder / WEIGHTS).read_bytes()


def test_a_damaged_file_is_downloaded_again(hub, tmp_path):
    hub.files_to_damage = {"tokenizer.json", WEIGHTS}
    status, _, stderr = pull(hub, tmp_path)
    assert status == ExitStatus.OK
    assert stderr.count("damaged in transit") == 2


def test_temporary_errors_of_the_hub_are_retried(hub, tmp_path):
    hub.error_statuses = {"/revision/": [503, 500], "/tree/": [503], "/resolve/": [500]}
    assert pull(hub, tmp_path)[0] == ExitStatus.OK


def test_permanent_errors_of_the_hub_end_the_pull(hub, tmp_path):
    hub.error_statuses = {"/api/models/": [502] * 100}
    status, _, stderr = pull(hub, tmp_path)
    assert status == ExitStatus.HUB_UNREACHABLE
    assert "responded with status 502; try again later" in stderr.replace("\n", " ")


def test_the_cache_is_used_when_the_hub_is_unreachable(hub, tmp_path):
    first = pull(hub, tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        unreachable = f"http://127.0.0.1:{closed.getsockname()[1]}"
    assert pull(hub, tmp_path, HF_ENDPOINT=unreachable)[:2] == first[:2]
    status, _, stderr = pull(hub, tmp_path / "empty", HF_ENDPOINT=unreachable)
    assert status == ExitStatus.HUB_UNREACHABLE
    assert "HF_ENDPOINT" in stderr


def test_offline_without_the_files_says_what_to_do(hub, tmp_path):
    status, _, stderr = pull(hub, tmp_path, HF_HUB_OFFLINE="1")
    assert status == ExitStatus.MODEL_LOAD_FAILED
    assert "HF_HUB_OFFLINE is set" in stderr
    assert "flamingo pull music/tiny" in stderr
    assert hub.requests == []


@pytest.mark.parametrize("name", ["HF_TOKEN", "HF_TOKEN_PATH"])
def test_a_private_model_needs_its_token(hub, tmp_path, name):
    hub.token = "hf_secret"
    status, _, stderr = pull(hub, tmp_path)
    assert status == ExitStatus.MODEL_ACCESS_DENIED
    assert "HF_TOKEN" in stderr

    (tmp_path / "token").write_text("hf_secret")
    given = "hf_secret" if name == "HF_TOKEN" else str(tmp_path / "token")
    status, _, stderr = pull(hub, tmp_path, **{name: given})
    assert status == ExitStatus.OK, stderr
    assert "hf_secret" not in stderr


@pytest.mark.parametrize("name", ["HF_TOKEN", "HF_TOKEN_PATH"])
@pytest.mark.parametrize("given", ["hf_secret\n", "\ufeffhf_secret\r\n", " hf_secret\u00a0\n"])
def test_what_an_editor_adds_to_a_token_is_removed(hub, tmp_path, name, given):
    hub.token = "hf_secret"
    (tmp_path / "token").write_text(given, newline="")
    value = given if name == "HF_TOKEN" else str(tmp_path / "token")
    status, _, stderr = pull(hub, tmp_path, **{name: value})
    assert status == ExitStatus.OK, stderr


@pytest.mark.parametrize("name", ["HF_TOKEN", "HF_TOKEN_PATH"])
@pytest.mark.parametrize("given", [b"hf_secr\xc3\xa9t", b"hf_secr\xe9t", b"hf_se\tcret"])
def test_a_token_that_no_header_can_carry_is_told_in_one_line(hub, tmp_path, name, given):
    (tmp_path / "token").write_bytes(given)
    value = os.fsdecode(given) if name == "HF_TOKEN" else str(tmp_path / "token")
    status, _, stderr = pull(hub, tmp_path, **{name: value})
    assert status == ExitStatus.MODEL_LOAD_FAILED
    assert name in stderr
    assert "secr" not in stderr
    assert "Traceback" not in stderr
    assert len(stderr.strip().splitlines()) == 1
    assert hub.requests == []


def test_the_message_about_a_gated_model_links_its_license(hub, tmp_path):
    hub.is_gated = True
    status, _, stderr = pull(hub, tmp_path, HF_TOKEN="hf_x")
    assert status == ExitStatus.MODEL_ACCESS_DENIED
    assert f"accept its license at {hub.address}/music/tiny" in stderr


@pytest.mark.parametrize(
    ("args", "message"),
    [
        pytest.param(["--revision", "v9"], "no branch, tag or commit 'v9'", id="revision"),
        pytest.param(["--revision", "0" * 40], "no ", id="commit"),
    ],
)
def test_the_message_names_a_missing_revision(hub, tmp_path, args, message):
    status, _, stderr = pull(hub, tmp_path, *args)
    assert status == ExitStatus.MODEL_LOAD_FAILED
    assert message in stderr


def test_an_unknown_model_may_be_private(hub, tmp_path):
    status, _, stderr = pull(hub, tmp_path, model="music/typo")
    assert status == ExitStatus.MODEL_ACCESS_DENIED
    assert f"model 'music/typo' does not exist on {hub.address} or needs a token" in stderr


def test_a_checkpoint_with_code_is_rejected_before_its_weights_are_downloaded(hub, tmp_path):
    hub.folder = shutil.copytree(hub.folder, tmp_path / "repo")
    config = (hub.folder / "config.json").read_text()
    evil = '{"_attn_implementation_internal": "evil/kernel", ' + config.strip().lstrip("{")
    (hub.folder / "config.json").write_text(evil)

    status, _, stderr = pull(hub, tmp_path)

    assert status == ExitStatus.MODEL_LOAD_FAILED
    assert "_attn_implementation_internal" in stderr
    assert hub.sent[WEIGHTS] == 0


def test_so_is_one_whose_quantization_is_not_supported(hub, tmp_path):
    hub.folder = shutil.copytree(hub.folder, tmp_path / "repo")
    config = json.loads((hub.folder / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "awq", "bits": 4}
    (hub.folder / "config.json").write_text(json.dumps(config))

    status, _, stderr = pull(hub, tmp_path)

    assert status == ExitStatus.MODEL_LOAD_FAILED
    assert "the weights are quantized by awq; supported are FP8 weights" in stderr
    assert hub.sent[WEIGHTS] == 0
