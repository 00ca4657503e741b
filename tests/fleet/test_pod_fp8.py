"""Real pods that serve models in FP8."""

import httpx2
import pytest
from fakes import processes, quantized_checkpoints
from fakes.patience import PATIENCE_S

from flamingo_pod.model.builtin import build

CAPTION = {"style": "brief", "max_tokens": "4"}


@pytest.fixture(params=["quantized while loading", "published"])
def flags(request, model_cache, tmp_path):
    if request.param == "published":
        original = build.ensure_built("flamingo-tiny", model_cache)
        layout = quantized_checkpoints.LAYOUTS["fp8 in blocks"]
        quantized_checkpoints.write(original, tmp_path / "fp8", layout)
        return ("--model", str(tmp_path / "fp8"))
    return ("--model", "flamingo-tiny", "--quantization", "fp8")


def test_a_pod_answers_in_fp8(flags, tmp_path, clips):
    with processes.service("flamingo_pod", *flags, log=tmp_path / "log") as running:
        processes.wait_until_ready(running)
        file = {"file": ("drums-5.1.flac", clips["drums-5.1.flac"])}
        answer = httpx2.post(
            f"{running.address}/v1/audio/captions", data=CAPTION, files=file, timeout=PATIENCE_S
        )
        assert answer.status_code == 200, answer.text
        assert answer.json()["usage"]["completion_tokens"] > 0
