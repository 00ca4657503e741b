"""Which files of a repository are a checkpoint, and which of them would run code.

Pure.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flamingo_pod.weights.errors import CannotLoad

SMALL_FILES = frozenset(
    {
        "added_tokens.json",
        "chat_template.jinja",
        "chat_template.json",
        "config.json",
        "generation_config.json",
        "merges.txt",
        "preprocessor_config.json",
        "processor_config.json",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.json",
    }
)
"""All that is read beside weights; nothing else is ever downloaded."""
SINGLE_FILE = "model.safetensors"
INDEX = "model.safetensors.index.json"
_SHARD = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")
_RUNS_CODE = ("auto_map", "custom_pipelines")
"""Names that make a library import modules of the repository."""
_CHOOSES_CODE = re.compile(r"_?(attn|experts)_implementation(_internal|_autoset)?")
"""CVE-2026-4372: a config's `_attn_implementation_internal` fetched and ran code from the hub."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file of a repository, as the hub lists it."""

    name: str
    size_bytes: int


def files_to_download(files: Iterable[RemoteFile], *, model_id: str) -> list[RemoteFile]:
    """Return what is downloaded: the small files first, so that weights are complete last.

    Raises:
        CannotLoad: there are no safetensors; pickled weights are never read.
    """
    at_hand = {file.name: file for file in files}
    if SINGLE_FILE in at_hand:
        weights = [at_hand[SINGLE_FILE]]
    else:
        weights = [at_hand[name] for name in sorted(at_hand) if _SHARD.fullmatch(name)]
    if not weights or "config.json" not in at_hand:
        raise CannotLoad(
            f"model {model_id!r} has no {'safetensors' if not weights else 'config.json'}; only"
            " checkpoints of config.json and safetensors are read, never pickles"
        )
    small = [at_hand[name] for name in sorted(at_hand) if name in SMALL_FILES]
    index = [at_hand[INDEX]] if INDEX in at_hand and SINGLE_FILE not in at_hand else []
    return [*small, *index, *weights]


def shard_names(index: Mapping[str, Any]) -> list[str]:
    """Return the files that an index names.

    Raises:
        CannotLoad: it names none, or one outside its folder.
    """
    names = sorted({str(name) for name in (index.get("weight_map") or {}).values()})
    if not names or not all(_SHARD.fullmatch(name) for name in names):
        raise CannotLoad(f"{INDEX} names no shards, or files that are none: {names[:3]}")
    return names


def check_runs_no_code(config: Mapping[str, Any], *, file: str) -> None:
    """Refuse a configuration that brings code of its own, or chooses code to fetch.

    The classes that we load ignore `auto_map`; a checkpoint that needs it would
    run wrongly without, and one that does not has no reason to carry it.

    Raises:
        CannotLoad: it does.
    """
    for path, value in _walk(config):
        name = path[-1]
        runs = name in _RUNS_CODE and value
        chooses = _CHOOSES_CODE.fullmatch(name) and isinstance(value, str) and "/" in value
        if runs or chooses:
            raise CannotLoad(
                f"{file} has {'.'.join(path)}, which names code to run; this server runs none of a"
                " checkpoint's. If you trust the weights, remove it from a local copy"
            )


def _walk(
    value: Mapping[str, Any], path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, inner in value.items():
        here = (*path, str(name))
        yield here, inner
        if isinstance(inner, Mapping):
            yield from _walk(inner, here)
