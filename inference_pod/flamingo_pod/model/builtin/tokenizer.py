"""The built-in models' tokenizer: Qwen2's class, with a small vocabulary trained on `corpus.txt`.

`merges.txt` is the output of `python -m flamingo_pod.model.builtin.tokenizer`; a test trains again
and compares. Shipping the merges keeps the vocabulary the same under every version of the
tokenizers library.
"""

import json
import sys
from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import Qwen2Tokenizer

FOLDER = Path(__file__).parent
CONTROL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<sound>",
    "<|sound_bos|>",
    "<|sound_eos|>",
)
VOCABULARY_SIZE = 1024
NUM_MERGES = VOCABULARY_SIZE - 256 - len(CONTROL_TOKENS)


def train() -> list[str]:
    """Return the merges of a byte-level BPE over the corpus, most frequent pair first."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = Qwen2Tokenizer()._tokenizer.pre_tokenizer  # noqa: SLF001 - no public way
    trainer = trainers.BpeTrainer(
        vocab_size=256 + NUM_MERGES, initial_alphabet=_alphabet(), show_progress=False
    )
    lines = (FOLDER / "corpus.txt").read_text(encoding="utf-8").splitlines()
    tokenizer.train_from_iterator(lines, trainer)
    return [" ".join(pair) for pair in json.loads(tokenizer.to_str())["model"]["merges"]]


def build() -> Qwen2Tokenizer:
    """Return the tokenizer: control tokens, then 256 bytes, then the merges."""
    merges = (FOLDER / "merges.txt").read_text(encoding="utf-8").splitlines()
    pieces = [*CONTROL_TOKENS, *_alphabet(), *(merge.replace(" ", "") for merge in merges)]
    return Qwen2Tokenizer(
        vocab={piece: number for number, piece in enumerate(pieces)},
        merges=[tuple(merge.split(" ")) for merge in merges],
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=list(CONTROL_TOKENS),
    )


def _alphabet() -> list[str]:
    return sorted(pre_tokenizers.ByteLevel.alphabet())


if __name__ == "__main__":
    sys.stdout.write("".join(f"{merge}\n" for merge in train()))
