"""The pages of the documentation as its site needs them.

In the repository, a link can lead to any file, and the words after a fence's language name the file
that readers write the block to. On the site, a link outside of `docs/` leads to the repository, and
such a block has the name of the file as its title.

Pure.
"""

import posixpath
import re
from collections.abc import Iterable, Mapping
from typing import Any

REPOSITORY = "https://github.com/flamingo-fleet/flamingo-fleet"
INDEX = "README.md"
FENCE = re.compile(r"^(?P<indent> *)(?P<fence>`{3,}|~{3,}) *(?P<language>[\w+-]+) +(?P<info>\S.*)$")
CLOSING = re.compile(r"^ *(`{3,}|~{3,}) *$")
LINK = re.compile(r"(?P<start>\]\()(?P<target>[^)\s:#]+)(?P<anchor>#[^)\s]*)?(?P<end>\))")
ROW = re.compile(r"^\| \[(?P<name>[\w./-]+)\]\((?P<target>[\w./-]+)\) \|", re.MULTILINE)
SECTION = re.compile(r"^## +(?P<title>.+)$", re.MULTILINE)
TITLE = re.compile(r"^# +(?P<title>.+)$", re.MULTILINE)


def page(text: str, path: str) -> str:
    """Return a page for the site; `path` is its path from the root, such as `docs/api.md`."""
    lines, fence = [], ""
    for line in text.splitlines():
        if fence:
            lines.append(line)
            fence = "" if line.strip().startswith(fence) and CLOSING.match(line) else fence
            continue
        opening = re.match(r"^ *(`{3,}|~{3,})", line)
        fence = opening[1] if opening else ""
        lines.append(_fence(line) if opening else _links(line, path))
    return "\n".join(lines) + "\n"


def _fence(line: str) -> str:
    """Return an opening fence whose other words are a title: any text there ends the page early."""
    found = FENCE.match(line)
    if not found:
        return line
    name = next((word for word in found["info"].split() if "." in word), "")
    title = f' title="{name}"' if name else ""
    return f"{found['indent']}{found['fence']}{found['language']}{title}"


def _links(line: str, path: str) -> str:
    folder = posixpath.dirname(path)

    def replaced(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, found["target"]))
        if target == "docs" or (target.startswith("docs/") and not found["target"].endswith("/")):
            return found[0]
        kind = "tree" if found["target"].endswith("/") else "blob"
        url = f"{REPOSITORY}/{kind}/main/{target}"
        return f"{found['start']}{url}{found['anchor'] or ''}{found['end']}"

    return LINK.sub(replaced, line)


def navigation(index: str, titles: Mapping[str, str], decisions: Iterable[str]) -> list[Any]:
    """Return the navigation: the sections of the index, each page in the first that lists it."""
    found: list[Any] = [{"Overview": INDEX}]
    seen = set()
    sections = list(SECTION.finditer(index))
    for number, section in enumerate(sections):
        end = sections[number + 1].start() if number + 1 < len(sections) else len(index)
        pages = []
        for row in ROW.finditer(index[section.end() : end]):
            target = row["target"]
            if target.endswith(".md") and target not in seen:
                seen.add(target)
                pages.append({titles[target]: target})
        found.append({section["title"]: pages})
    found.append({"Decisions": [{titles[one]: one} for one in decisions]})
    return found


def title(text: str) -> str:
    """Return the first heading of a page."""
    found = TITLE.search(text)
    assert found, "a page begins with a heading"
    return found["title"].replace("`", "")
