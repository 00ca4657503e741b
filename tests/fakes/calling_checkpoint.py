"""The tiny model as one that calls a function of its own accord, by a script.

Its layers add nothing, so its next token depends on the last one alone: behind the line end of the
generation prompt it writes `Hi.` and the mark of a call. Behind the closing mark, or where a bias
keeps it from calling, it ends. Whatever else a grammar leaves it to choose is arbitrary.
"""

import itertools
import json
import os
import shutil
from pathlib import Path

import safetensors.torch
import torch

from flamingo_pod.model.builtin import build, tokenizer

TEXT = ["H", "i", "."]
SPELLED = ["<", "t", "o", "ol", "_", "c", "all", ">"]
MARKS = ("<tool_call>", "</tool_call>")
LINE_END, END = "Ċ", "<|im_end|>"
HEAD, EMBEDDINGS = "language_model.lm_head.weight", "language_model.model.embed_tokens.weight"
SILENT = (".o_proj.weight", ".down_proj.weight")


def write(folder: Path, *, has_marks: bool) -> Path:
    """Write the checkpoint into a new folder; return that.

    `has_marks` is whether its tokenizer has a token for each mark, as Qwen2.5's has.
    """
    built = build.ensure_built("flamingo-tiny", build.cache_folder(os.environ))
    shutil.copytree(built, folder)
    ids = dict(tokenizer.build().get_vocab())
    if has_marks:
        ids |= _add_marks(folder, len(ids))
    weights = safetensors.torch.load_file(folder / "model.safetensors")
    for name, weight in weights.items():
        if name.startswith("language_model") and name.endswith(SILENT):
            weight.zero_()
    embeddings = torch.randn(len(ids), 64, generator=torch.Generator().manual_seed(1))
    weights[EMBEDDINGS] = torch.nn.functional.normalize(embeddings)
    weights[HEAD] = _head(weights[EMBEDDINGS], ids, has_marks=has_marks)
    weights["language_model.model.norm.weight"] = torch.ones(64)
    safetensors.torch.save_file(weights, folder / "model.safetensors", {"format": "pt"})
    return folder


def first_of_mark(*, has_marks: bool) -> int:
    """Return the first token with which it writes the opening mark."""
    ids = tokenizer.build().get_vocab()
    return len(ids) if has_marks else ids[SPELLED[0]]


def bias_for_more(*, is_certain: bool) -> dict[str, float]:
    """Return the bias by which a call follows another: always, or as often as the answer ends."""
    return {str(tokenizer.build().get_vocab()[LINE_END]): 24.0 if is_certain else 16.0}


def bias_against_calls(*, has_marks: bool) -> dict[str, float]:
    """Return the bias that keeps the model from calling a function."""
    return {str(first_of_mark(has_marks=has_marks)): -100.0}


def _head(embeddings: torch.Tensor, ids: dict[str, int], *, has_marks: bool) -> torch.Tensor:
    """Return the weights by which each token of the script likes the next one best."""
    script = [LINE_END, *TEXT, *([MARKS[0]] if has_marks else SPELLED)]
    pairs = [(before, after, 4.0) for before, after in itertools.pairwise(script)]
    pairs += [(TEXT[-1], END, 2.0), (MARKS[1] if has_marks else ">", END, 2.0)]
    head = torch.zeros_like(embeddings)
    for before, after, weight in pairs:
        head[ids[after]] += weight * embeddings[ids[before]]
    return head


def _add_marks(folder: Path, size: int) -> dict[str, int]:
    """Add the marks to the tokenizer, as Qwen2.5's has them: not special."""
    ids = {mark: size + number for number, mark in enumerate(MARKS)}
    path, flags = folder / "tokenizer.json", ("single_word", "lstrip", "rstrip", "normalized")
    content = json.loads(path.read_text(encoding="utf-8"))
    for mark, number in ids.items():
        token = {"id": number, "content": mark, "special": False} | dict.fromkeys(flags, False)
        content["added_tokens"].append(token)
    path.write_text(json.dumps(content), encoding="utf-8")
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["text_config"]["vocab_size"] = size + len(ids)
    path.write_text(json.dumps(config), encoding="utf-8")
    return ids
