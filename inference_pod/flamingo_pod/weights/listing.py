"""Choose a repository's checkpoint files, and reject configurations that would run code.

Pure.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flamingo_pod.weights.errors import ModelLoadFailed

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
"""All the files that are read besides the weights; nothing else is ever downloaded."""
SINGLE_FILE = "model.safetensors"
INDEX = "model.safetensors.index.json"
_SHARD = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")
_RUNS_CODE = ("auto_map", "custom_pipelines")
"""Keys that make a library import modules from the repository."""
_CHOOSES_CODE = re.compile(r"_?(attn|experts)_implementation(_internal|_autoset)?")
"""CVE-2026-4372: a config's `_attn_implementation_internal` fetched and ran code from the hub."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file of a repository, as listed by the hub."""

    name: str
    size_bytes: int


def files_to_download(files: Iterable[RemoteFile], *, model_id: str) -> list[RemoteFile]:
    """Return the files to download, the weights last.

    Raises:
        ModelLoadFailed: there is no config.json or no safetensors; pickled weights are never read.
    """
    by_name = {file.name: file for file in files}
    if SINGLE_FILE in by_name:
        weights = [by_name[SINGLE_FILE]]
    else:
        weights = [by_name[name] for name in sorted(by_name) if _SHARD.fullmatch(name)]
    if not weights or "config.json" not in by_name:
        missing = "config.json" if weights else "safetensors"
        raise ModelLoadFailed(
            f"model {model_id!r} has no {missing}; a checkpoint must have both config.json and"
            " safetensors, and pickled weights are not supported"
        )
    small = [by_name[name] for name in sorted(by_name) if name in SMALL_FILES]
    index = [by_name[INDEX]] if INDEX in by_name and SINGLE_FILE not in by_name else []
    return [*small, *index, *weights]


def shard_names(index: Mapping[str, Any]) -> list[str]:
    """Return the names of the shards listed in an index.

    Raises:
        ModelLoadFailed: it lists none, or a name that is not a shard's.
    """
    names = sorted({str(name) for name in (index.get("weight_map") or {}).values()})
    if not names or not all(_SHARD.fullmatch(name) for name in names):
        raise ModelLoadFailed(
            f"{INDEX} lists no shards, or names that are not valid shards: {names[:3]}"
        )
    return names


def check_runs_no_code(config: Mapping[str, Any], *, file: str) -> None:
    """Reject a configuration that refers to code to run or to fetch.

    The classes that are loaded here ignore `auto_map`; a checkpoint that needs it would run
    incorrectly without it, and one that does not has no reason to have it.

    Raises:
        ModelLoadFailed: it refers to code.
    """
    for path, value in _walk(config):
        name = path[-1]
        runs = name in _RUNS_CODE and value
        chooses = _CHOOSES_CODE.fullmatch(name) and isinstance(value, str) and "/" in value
        if runs or chooses:
            raise ModelLoadFailed(
                f"{file} has {'.'.join(path)}, which names code to run; code from checkpoints is"
                " never run. If you trust the weights, remove the key from a local copy"
            )


def _walk(
    value: Mapping[str, Any], path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, inner in value.items():
        here = (*path, str(name))
        yield here, inner
        if isinstance(inner, Mapping):
            yield from _walk(inner, here)
