"""Every file that the docs name exists."""

import re
import subprocess
from itertools import product
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = [*(ROOT / "docs").rglob("*.md"), *(ROOT / "helm").rglob("*.md")]
PAGES = sorted([ROOT / "README.md", ROOT / "SECURITY.md", *FOLDERS])
ENDINGS = r"(?:py|md|js|mjs|html|css|sh|yaml|toml|json|txt)"
NAMED = re.compile(rf"`([\w.{{][\w./{{}},<>-]*\.{ENDINGS})(?:::\w+)?`")
FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
LINKED = re.compile(r"\]\(([^)#:\s]*)(?:#([^)\s]*))?\)")
HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
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
    links = LINKED.findall(FENCED.sub("", page.read_text(encoding="utf-8")))
    assert [path for path, _ in links if not (page.parent / path).exists()] == []
    targets = [(page.parent / path if path else page, anchor) for path, anchor in links if anchor]
    known = {file: anchors(file) for file, _ in targets if file.suffix == ".md"}
    assert [(file.name, one) for file, one in targets if one not in known.get(file, {one})] == []


def anchors(page):
    """Return the names that GitHub gives to the headings of a page."""
    found = {}
    for heading in HEADING.findall(FENCED.sub("", page.read_text(encoding="utf-8"))):
        words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
        name = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        again = sum(one == name for one in found.values())
        found[f"{name}-{again}" if again else name] = name
    return set(found)


def test_decisions_are_numbered_one_after_the_other_and_state_whether_they_hold():
    texts = [one.read_text(encoding="utf-8") for one in DECISIONS]
    numbers = [int(one.name[:4]) for one in DECISIONS]
    assert numbers == list(range(1, len(DECISIONS) + 1))
    headings = zip(numbers, texts, strict=True)
    assert [number for number, text in headings if not text.startswith(f"# {number}. ")] == []
    assert [
        one.name for one, text in zip(DECISIONS, texts, strict=True) if "**Status:**" not in text
    ] == []
