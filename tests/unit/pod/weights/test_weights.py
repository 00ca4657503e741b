"""A checkpoint's files, where loading stands, and what a fault means: without a hub or a model."""

import json
import struct

import pytest

from flamingo_common.service.exit_status import ExitStatus
from flamingo_common.wire.report import StartReport
from flamingo_pod import exit_causes
from flamingo_pod.weights import folder, listing
from flamingo_pod.weights.errors import AccessRefused, CannotLoad, HubUnreachable
from flamingo_pod.weights.listing import RemoteFile
from flamingo_pod.weights.progress import LoadingProgress

LAST = "model-00002-of-00002.safetensors"


def safetensors(**tensors):
    """Return a file of float32 tensors of zeros, by their lengths."""
    header, end = {}, 0
    for name, length in tensors.items():
        header[name] = {
            "dtype": "F32",
            "shape": [length],
            "data_offsets": [end, end + 4 * length],
        }
        end += 4 * length
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(end)


@pytest.fixture
def checkpoint(tmp_path):
    """A checkpoint of two shards."""
    shards = {"a": "model-00001-of-00002.safetensors", "b": LAST}
    (tmp_path / "config.json").write_text('{"model_type": "musicflamingo"}')
    (tmp_path / listing.INDEX).write_text(json.dumps({"weight_map": shards}))
    for tensor, name in shards.items():
        (tmp_path / name).write_bytes(safetensors(**{tensor: 10}))
    return tmp_path


def test_a_whole_folder_is_counted_without_reading_its_weights(checkpoint):
    found = folder.read_contents(checkpoint)
    assert (found.num_tensors, found.num_parameters, found.dtypes) == (2, 20, frozenset({"F32"}))
    assert found.model_type == "musicflamingo"


@pytest.mark.parametrize(
    ("break_it", "says"),
    [
        pytest.param(lambda at: (at / LAST).unlink(), "lacks model-00002"),
        pytest.param(
            lambda at: (at / LAST).write_bytes(safetensors(b=10)[:-1]),
            "cut off",
        ),
        pytest.param(
            lambda at: (at / LAST).write_bytes(b"<html>not found"),
            "is no safetensors file",
        ),
        pytest.param(
            lambda at: (at / LAST).write_bytes(safetensors(c=10)),
            "lacks 1 tensors of its index, as b",
        ),
        pytest.param(lambda at: (at / "config.json").unlink(), "no config.json"),
        pytest.param(lambda at: (at / "config.json").write_text("[]"), "no JSON object"),
        pytest.param(
            lambda at: (at / listing.INDEX).write_text('{"weight_map": {"a": "../../x"}}'),
            "files that are none",
        ),
    ],
    ids=["missing", "short", "a web page", "other tensors", "no config", "a list", "outside"],
)
def test_what_is_missing_is_named(checkpoint, break_it, says):
    break_it(checkpoint)
    with pytest.raises(CannotLoad, match=says):
        folder.read_contents(checkpoint)


def names(*files):
    found = listing.files_to_download([RemoteFile(name, 1) for name in files], model_id="m")
    return [file.name for file in found]


def test_only_what_is_read_is_wanted_and_weights_come_last():
    assert names(
        "model-00002-of-00002.safetensors",
        "pytorch_model.bin",
        "config.json",
        "model.py",
        "model-00001-of-00002.safetensors",
        "model.safetensors.index.json",
        "onnx/model.onnx",
        "tokenizer.json",
    ) == [
        "config.json",
        "tokenizer.json",
        "model.safetensors.index.json",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
    ]


def test_pickled_weights_alone_are_refused():
    with pytest.raises(CannotLoad, match="no safetensors"):
        names("config.json", "pytorch_model.bin")


@pytest.mark.parametrize(
    "config",
    [
        {"auto_map": {"AutoModel": "modeling.Evil"}},
        {"text_config": {"auto_map": {"AutoModel": "x--y.Z"}}},
        {"_attn_implementation_internal": "evil/kernel"},
        {"audio_config": {"_attn_implementation": "evil/kernel@main"}},
        {"experts_implementation": "evil/kernel"},
    ],
    ids=str,
)
def test_cve_2026_4372_a_configuration_that_names_code_is_refused(config):
    with pytest.raises(CannotLoad, match="names code to run"):
        listing.check_runs_no_code(config, file="config.json")


def test_an_ordinary_configuration_is_taken():
    listing.check_runs_no_code(
        {"auto_map": None, "_attn_implementation": "sdpa", "text_config": {"a": 1}}, file="c"
    )


def test_progress_tells_phase_pace_and_what_is_left():
    now_s = [0.0]
    progress = LoadingProgress(clock=lambda: now_s[0])
    now_s[0] = 3.0
    progress.begin("downloading", total=100, done=20)
    now_s[0] = 5.0
    progress.add(20)
    told = progress.now()
    assert (told.phase, told.phase_s, told.elapsed_s) == ("downloading", 2.0, 5.0)
    assert (told.done_bytes, told.total_bytes) == (40, 100)
    assert told.left_s == 6.0, "20 bytes in 2 s, 60 to go; what was there before is no pace"


def test_what_a_start_took_is_told_once_it_is_over():
    now_s = [0.0]
    progress = LoadingProgress(clock=lambda: now_s[0])
    for phase, at_s in (("downloading", 3.0), ("reading", 10.0), ("warming", 60.0)):
        now_s[0] = at_s
        progress.begin(phase)
    assert progress.start is None
    now_s[0] = 75.0
    progress.finish()
    assert progress.start == StartReport(fetch_s=10.0, load_s=50.0, warm_s=15.0)


def test_nothing_is_promised_before_something_moved():
    progress = LoadingProgress(clock=lambda: 1.0)
    progress.begin("downloading", total=100, done=20)
    assert progress.now().left_s is None


def caused(error, by):
    error.__cause__ = by
    return error


class OutOfMemoryError(RuntimeError):
    """Named as torch's own."""


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (AccessRefused("x"), ExitStatus.MODEL_ACCESS_DENIED),
        (HubUnreachable("x"), ExitStatus.HUB_UNREACHABLE),
        (CannotLoad("x"), ExitStatus.MODEL_LOAD_FAILED),
        (PermissionError(13, "Permission denied", "/models"), ExitStatus.MODEL_LOAD_FAILED),
        (OutOfMemoryError("x"), ExitStatus.DEVICE_OUT_OF_MEMORY),
        (RuntimeError("CUDA error: an illegal memory access"), ExitStatus.DEVICE_ERROR),
        (ValueError("x"), ExitStatus.INTERNAL_ERROR),
    ],
    ids=lambda each: getattr(each, "name", type(each).__name__),
)
def test_why_a_model_was_not_loaded_is_in_the_status(error, status):
    assert exit_causes.from_load_error(error) is status


@pytest.mark.parametrize(
    ("cause", "status"),
    [
        (OutOfMemoryError("x"), ExitStatus.DEVICE_OUT_OF_MEMORY),
        (RuntimeError("device-side assert triggered"), ExitStatus.DEVICE_ERROR),
        (KeyError("x"), ExitStatus.ENGINE_FAILED),
        (None, ExitStatus.ENGINE_FAILED),
    ],
    ids=lambda each: getattr(each, "name", type(each).__name__),
)
def test_what_broke_an_engine_is_in_the_status(cause, status):
    assert exit_causes.from_engine_error(caused(RuntimeError("broken"), cause)) is status
