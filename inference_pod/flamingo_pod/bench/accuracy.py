"""`flamingo bench accuracy`: how far FP8 and lower precisions are from a reference precision."""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from flamingo_common.errors import InvalidAudio
from flamingo_pod.audio import sound_file
from flamingo_pod.bench import divergence, machine, synthetic_audio, table, teacher_forcing
from flamingo_pod.bench.divergence import AnswerDivergence, Divergence
from flamingo_pod.bench.synthetic_audio import Samples
from flamingo_pod.bench.workload import QUESTIONS
from flamingo_pod.model import checkpoint
from flamingo_pod.model.builtin import build
from flamingo_pod.model.checkpoint import Checkpoint, CheckpointSource, Quantization
from flamingo_pod.model.placement import UnsupportedDevice
from flamingo_pod.weights.errors import ModelLoadFailed

PROG = "flamingo bench accuracy"
ABOUT = """\
Compare a model in FP8 or in a lower precision with itself in a reference precision, on the same
prompts. With teacher forcing, both read the reference's answer: the KL divergence (nats) of what
they predict for each of its tokens, and the share of tokens that both find most likely. In free
running, each generates greedily: the first token that differs, and the share of equal ones. One
model is in memory at a time.
"""
SMALLER = "--reference bfloat16 --candidates bfloat16+fp8 needs half of what float32 does"
FP8_SUFFIX = "+fp8"
CLIP_S = (5.0, 8.0, 11.0, 14.0)
"""Lengths of the synthetic clips, in turn."""
HEADINGS = (
    "weights",
    "KL mean",
    "KL p99",
    "KL max",
    "same top token",
    "identical answers",
    "first difference (median)",
    "equal tokens",
)


@dataclass(frozen=True, slots=True)
class AccuracyOptions:
    """The parsed command line."""

    model: str
    candidate_model: str
    candidates: tuple[str, ...]
    reference: str
    audio: tuple[Path, ...]
    num_clips: int
    num_tokens: int
    device: str
    seed: int
    out: Path | None


@dataclass(frozen=True, slots=True)
class ReferenceAnswer:
    """One prompt, with the reference's answer and its predictions."""

    samples: Samples
    question: str
    ids: tuple[int, ...]
    log_probabilities: torch.Tensor


def main(argv: Sequence[str]) -> int:
    """Measure, print a table and write the JSON file; return the exit status."""
    options = _parse(argv)
    torch.set_num_threads(1)
    try:
        answers = _reference_answers(options)
        found = {name: _measure(options, name, answers) for name in options.candidates}
    except (InvalidAudio, ModelLoadFailed, UnsupportedDevice) as error:
        print(f"{PROG}: {error}", file=sys.stderr)  # noqa: T201 - for the user
        return 1
    except torch.OutOfMemoryError as error:
        print(f"{PROG}: {error}; {SMALLER}", file=sys.stderr)  # noqa: T201 - for the user
        return 1
    _report(options, argv, found)
    return 0


def _report(
    options: AccuracyOptions, argv: Sequence[str], found: Mapping[str, list[AnswerDivergence]]
) -> None:
    here, command = machine.describe(), [*PROG.split(), *argv]
    summaries = {name: divergence.summary(each) for name, each in found.items()}
    origin = table.describe_origin(command, here)
    print(*_table(summaries), "", sep="\n")  # noqa: T201
    print(f"reference: {options.model} in {options.reference}; {origin}")  # noqa: T201
    if options.out is not None:
        report = {
            "command": command,
            "machine": asdict(here),
            "summaries": {name: asdict(each) for name, each in summaries.items()},
            "answers": {name: [asdict(one) for one in each] for name, each in found.items()},
        }
        options.out.write_text(json.dumps(report, indent=1), encoding="utf-8")


def _reference_answers(options: AccuracyOptions) -> list[ReferenceAnswer]:
    loaded = _load(options, options.model, options.reference)
    answers = []
    for number, samples in enumerate(_clips(options, loaded.limits.max_audio_s)):
        question = QUESTIONS[number % len(QUESTIONS)]
        inputs = teacher_forcing.make_inputs(loaded, samples, question)
        ids = teacher_forcing.greedy_answer(loaded, inputs, options.num_tokens)
        predicted = teacher_forcing.log_probabilities(loaded, inputs, ids)
        answers.append(ReferenceAnswer(samples, question, ids, predicted))
    return answers


def _measure(
    options: AccuracyOptions, name: str, answers: Sequence[ReferenceAnswer]
) -> list[AnswerDivergence]:
    loaded = _load(options, options.candidate_model, name)
    found = []
    for answer in answers:
        inputs = teacher_forcing.make_inputs(loaded, answer.samples, answer.question)
        predicted = teacher_forcing.log_probabilities(loaded, inputs, answer.ids)
        ids = teacher_forcing.greedy_answer(loaded, inputs, options.num_tokens)
        found.append(teacher_forcing.compare(answer.log_probabilities, predicted, answer.ids, ids))
    return found


def _clips(options: AccuracyOptions, max_audio_s: float) -> Iterator[Samples]:
    """Yield the given audio files' samples, or synthetic clips."""
    for path in options.audio:
        try:
            yield sound_file.decode_bytes(path.read_bytes(), max_audio_s)
        except InvalidAudio as error:
            raise InvalidAudio(f"--audio: {path}: {error}") from error
    for number in range(0 if options.audio else options.num_clips):
        yield synthetic_audio.make_clip(CLIP_S[number % len(CLIP_S)], options.seed + number)


def _load(options: AccuracyOptions, model: str, precision: str) -> Checkpoint:
    """Return the model in a precision: a data type, or one with `+fp8`."""
    quantization: Quantization | None = "fp8" if precision.endswith(FP8_SUFFIX) else None
    source = CheckpointSource(
        id=model,
        revision=None,
        dtype=precision.removesuffix(FP8_SUFFIX),
        device=options.device,
        cache=build.cache_folder(os.environ),
        quantization=quantization,
    )
    return checkpoint.load(source)


def _table(summaries: dict[str, Divergence]) -> list[str]:
    rule = ["---", *["---:"] * (len(HEADINGS) - 1)]
    rows = [_cells(name, each) for name, each in summaries.items()]
    return ["| " + " | ".join(line) + " |" for line in (HEADINGS, rule, *rows)]


def _cells(name: str, found: Divergence) -> tuple[str, ...]:
    first = found.first_difference_median
    return (
        name,
        *(f"{value:.2g}" for value in (found.kl_mean, found.kl_p99, found.kl_max)),
        f"{found.same_top_share:.1%}",
        f"{found.num_identical}/{found.num_answers}",
        table.MISSING if first is None else f"{first:.0f}",
        f"{found.equal_share:.1%}",
    )


def _parse(argv: Sequence[str]) -> AccuracyOptions:
    """Return the options, or print the errors and exit with status 2."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    candidates = tuple(arguments.candidates.split(","))
    for name in (*candidates, arguments.reference):
        if name.removesuffix(FP8_SUFFIX) not in checkpoint.DTYPES:
            parser.error(f"{name!r} is not one of {', '.join(checkpoint.DTYPES)}, or one with +fp8")
    for path in arguments.audio:
        if not path.is_file():
            parser.error(f"--audio: the file {path} does not exist")
    if min(arguments.clips, arguments.tokens) < 1:
        parser.error("--clips and --tokens must be at least 1")
    if arguments.out is not None and not arguments.out.absolute().parent.is_dir():
        parser.error(f"--out: the folder {arguments.out.absolute().parent} does not exist")
    if arguments.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: torch finds no GPU here; flamingo doctor says more")
    return AccuracyOptions(
        model=arguments.model,
        candidate_model=arguments.candidate_model or arguments.model,
        candidates=candidates,
        reference=arguments.reference,
        audio=tuple(arguments.audio),
        num_clips=arguments.clips,
        num_tokens=arguments.tokens,
        device=arguments.device or ("cuda" if torch.cuda.is_available() else "cpu"),
        seed=arguments.seed,
        out=arguments.out,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=PROG, description=ABOUT, allow_abbrev=False)
    add: Any = parser.add_argument
    add("--model", default="flamingo-tiny", help="built-in name, folder or hub id")
    add("--candidate-model", help="another checkpoint to compare, such as a published FP8 one")
    add("--reference", default="float32", help="precision of the reference; default: float32")
    add(
        "--candidates",
        default="bfloat16,bfloat16+fp8",
        help="precisions to compare, comma-separated; default: bfloat16,bfloat16+fp8",
    )
    add("--audio", type=Path, nargs="+", default=[], help="audio files; default: synthetic clips")
    add("--clips", type=int, default=8, help="number of synthetic clips; default: 8")
    add("--tokens", type=int, default=64, help="maximum length of an answer; default: 64")
    add("--device", choices=("cpu", "cuda"), help="default: a GPU if there is one")
    add("--seed", type=int, default=0, help="random seed of the clips; default: 0")
    add("--out", type=Path, help="write all measurements to this file, as JSON")
    return parser
