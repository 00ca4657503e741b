"""What decisions cost, in CPU-seconds of one pod: `python tests/bench/decisions.py`.

One pod with one thread gets, in turns and each time about clips that it has not heard: one caption;
200 predicates in one request; one question; ten questions in one request, and in ten. The words of
the ten are measured by asking them again about a clip that is cached. With `--transformers`, ten
questions are also asked of transformers' own forward pass, in this process.
"""

import argparse
import io
import json
import os
import statistics
import sys
import tempfile
import time
import wave
from pathlib import Path

import httpx2
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from fakes import processes

from flamingo_pod.bench import teacher_forcing
from flamingo_pod.model import checkpoint
from flamingo_pod.model.builtin import build

RATE = 16_000
CAPTION = {"max_tokens": 200, "ignore_eos": True}
WORDS = ["calm", "dark", "happy", "heavy", "loud", "quick", "romantic", "sad", "slow", "warm"]
PATIENCE_S = 600


class Meter:
    """The CPU-seconds of a process and of its children."""

    def __init__(self, pid):
        self.pid = pid

    def read_s(self):
        return sum(map(self.of, Path("/proc").glob("[0-9]*"))) / os.sysconf("SC_CLK_TCK")

    def of(self, folder):
        try:
            fields = (folder / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:  # it has just ended
            return 0
        is_of_it = folder.name == str(self.pid) or int(fields[1]) == self.pid
        return int(fields[11]) + int(fields[12]) if is_of_it else 0


def samples(audio_s, seed):
    noise = np.random.default_rng(seed).standard_normal(int(audio_s * RATE))
    return (noise * 3000).astype("<i2")


def wav(audio_s, seed):
    file = io.BytesIO()
    with wave.open(file, "wb") as target:
        target.setparams((1, 2, RATE, 0, "NONE", ""))
        target.writeframes(samples(audio_s, seed).tobytes())
    return file.getvalue()


def questions(num):
    return [
        {"type": "predicate", "instructions": f"The mood of part {at} is {WORDS[at % 10]}."}
        for at in range(num)
    ]


class Pod:
    """Requests to a pod, and what each costs it."""

    def __init__(self, running, audio_s):
        self.meter, self.audio_s = Meter(running.process.pid), audio_s
        self.client = httpx2.Client(base_url=running.address, timeout=PATIENCE_S)

    def spent_s(self, seed, *requests):
        """Return the CPU-seconds of requests about one clip, one after the other."""
        clip, before_s = wav(self.audio_s, seed), self.meter.read_s()
        for path, fields in requests:
            form = {"request": json.dumps(fields)}
            answer = self.client.post(path, data=form, files={"file": clip})
            assert answer.status_code == 200, answer.text
        return self.meter.read_s() - before_s


def decisions(*asked):
    return "/v1/decisions", {"questions": list(asked)}


def one_round(pod, number):
    ten, seed = questions(10), number * 10
    return {
        "caption": pod.spent_s(seed, ("/v1/audio/captions", CAPTION)),
        "predicates": pod.spent_s(seed + 1, decisions(*questions(200))),
        "one": pod.spent_s(seed + 2, decisions(ten[0])),
        # About the clip of the line before: only the words are new.
        "words": pod.spent_s(seed + 2, decisions(*ten)),
        "ten": pod.spent_s(seed + 3, decisions(*ten)),
        "ten requests": pod.spent_s(seed + 4, *(decisions(each) for each in ten)),
    }


def transformers_s(model, audio_s):
    """Return the CPU-seconds of one question to transformers' forward pass."""
    torch.set_num_threads(1)
    source = checkpoint.CheckpointSource(
        id=model, revision=None, dtype="float32", device="cpu", cache=build.cache_folder(os.environ)
    )
    loaded = checkpoint.load(source)
    audio = samples(audio_s, 0).astype(np.float32) / 2**15
    before_s = time.process_time()
    inputs = teacher_forcing.make_inputs(loaded, audio, questions(1)[0]["instructions"])
    teacher_forcing.log_probabilities(loaded, inputs, (0,))
    return time.process_time() - before_s


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="flamingo-tiny-27m")
    parser.add_argument("--audio-s", type=float, default=180)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--transformers", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        environ = os.environ | {"OMP_NUM_THREADS": "1"}
        flags, log = ("--model", chosen.model), Path(folder) / "log"
        with processes.service("flamingo_pod", *flags, log=log, environ=environ) as running:
            processes.wait_until_ready(running)
            pod = Pod(running, chosen.audio_s)
            rounds = [one_round(pod, number) for number in range(chosen.rounds)]
    spent = {name: statistics.median(each[name] for each in rounds) for name in rounds[0]}
    print("| CPU-seconds of | median |\n| --- | ---: |")
    for name, seconds in spent.items():
        print(f"| {name} | {seconds:.2f} |")
    shared = spent["one"] + spent["words"]
    print(f"200 predicates / one caption: {spent['predicates'] / spent['caption']:.2f}")
    print(f"ten questions / (one and the words of ten): {spent['ten'] / shared:.2f}")
    print(f"ten requests / ten questions: {spent['ten requests'] / spent['ten']:.2f}")
    if chosen.transformers:
        whole_s = 10 * transformers_s(chosen.model, chosen.audio_s)
        print(f"ten forward passes of transformers / ten questions: {whole_s / spent['ten']:.1f}")


if __name__ == "__main__":
    main()
