"""The engine on a model in FP8, against transformers on the same modules.

Rounding to FP8 amplifies what differs in the last bit, so tokens are not compared one for one.
"""

import pytest
from engine.options import engine_options
from engine.test_core import QUESTION, Case, drain, sound
from fakes import quantized_checkpoints

from flamingo_pod.bench import teacher_forcing
from flamingo_pod.engine.core import EngineCore
from flamingo_pod.model import checkpoint
from flamingo_pod.model.builtin import build

CLIPS_S = (0.5, 3, 10)
TIE = 0.05
"""Nats between two tokens that a rounding may exchange; unrelated ones are whole nats apart."""


def quantized_while_loading(source_of, _model_cache, _folder):
    return checkpoint.load(source_of(quantization="fp8"))


def published(source_of, model_cache, folder):
    layout = quantized_checkpoints.LAYOUTS["compressed-tensors FP8"]
    original = build.ensure_built("flamingo-tiny", model_cache)
    quantized_checkpoints.write(original, folder / "fp8", layout)
    return checkpoint.load(source_of(id=str(folder / "fp8")))


@pytest.mark.parametrize("model_impl", ["fused", "transformers"])
@pytest.mark.parametrize("load", [quantized_while_loading, published])
def test_a_model_in_fp8_says_what_transformers_finds_most_likely(
    source_of, model_cache, tmp_path, load, model_impl
):
    loaded = load(source_of, model_cache, tmp_path)
    core = EngineCore(loaded, engine_options(model_impl=model_impl))
    cases = [
        Case(loaded, sound(seconds, seed), num_tokens=12) for seed, seconds in enumerate(CLIPS_S)
    ]
    for case in cases:
        case.submit(core)
    drain(core)
    for case in cases:
        inputs = teacher_forcing.make_inputs(loaded, case.samples, QUESTION)
        predicted = teacher_forcing.log_probabilities(loaded, inputs, case.tokens)
        chosen = predicted[range(len(case.tokens)), case.tokens]
        assert len(case.tokens) > 4
        assert (predicted.amax(-1) - chosen).max() < TIE
