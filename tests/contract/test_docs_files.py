"""Every file that the docs name exists."""

import re
import subprocess
from itertools import product
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "SECURITY.md", *(ROOT / "docs").rglob("*.md")])
ENDINGS = r"(?:py|md|js|mjs|html|css|sh|yaml|toml|json|txt)"
NAMED = re.compile(rf"`([\w.{{][\w./{{}},<>-]*\.{ENDINGS})(?:::\w+)?`")
FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
LINKED = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")
THEIRS = {"config.json", "keys.yaml"}
"""Files that a checkpoint brings, or that users write."""


def tracked():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, check=True)
    return listed.stdout.decode().splitlines()


TRACKED = tracked()


def expanded(name):
    """`a/{b,c}.py` → a/b.py, a/c.py."""
    parts = re.split(r"\{([^}]*)\}", name)
    choices = [part.split(",") if at % 2 else [part] for at, part in enumerate(parts)]
    return ["".join(chosen) for chosen in product(*choices)]


def exists(name):
    return any(file == name or file.endswith("/" + name) for file in TRACKED)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_that_a_page_names_exists(page):
    text = FENCED.sub("", page.read_text(encoding="utf-8"))
    names = {one for named in NAMED.findall(text) for one in expanded(named)}
    assert {name for name in names - THEIRS if not exists(name)} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_somewhere(page):
    links = LINKED.findall(page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []
