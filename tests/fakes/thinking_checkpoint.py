"""The tiny model as a checkpoint that thinks: its chat template opens the reasoning."""

import os
import shutil
from pathlib import Path

from flamingo_pod.model.builtin import build

OPENED = "<|im_start|>assistant\\n"


def write(folder: Path) -> Path:
    """Write the checkpoint into a new folder; return that."""
    built = build.ensure_built("flamingo-tiny", build.cache_folder(os.environ))
    shutil.copytree(built, folder)
    template = folder / "chat_template.jinja"
    text = template.read_text(encoding="utf-8")
    assert text.count(OPENED) == 1
    template.write_text(text.replace(OPENED, f"{OPENED}<think>\\n"), encoding="utf-8")
    return folder
