"""The pages whose commands readers may run: every tracked one that is for users."""

import subprocess
from functools import cache
from pathlib import Path

from documents.blocks import Block, Command, blocks

ROOT = Path(__file__).parents[2]
HISTORY = ("docs/decisions/", "CHANGELOG.md")
"""These say what was once done."""


@cache
def names() -> tuple[str, ...]:
    """Return the pages, by their path from the root."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    present = (name for name in listed if (ROOT / name).is_file())
    return tuple(sorted(name for name in present if not name.startswith(HISTORY)))


@cache
def blocks_of(page: str) -> tuple[Block, ...]:
    """Return the blocks of one page."""
    return tuple(blocks(page, (ROOT / page).read_text(encoding="utf-8")))


def all_blocks() -> list[Block]:
    """Return the blocks of all pages."""
    return [block for page in names() for block in blocks_of(page)]


def all_commands() -> list[Command]:
    """Return the commands of all pages, in their order."""
    return [command for block in all_blocks() for command in block.commands]
