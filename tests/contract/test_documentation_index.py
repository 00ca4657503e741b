"""docs/README.md lists every page, and llms.txt is the same list for language models.

`python tests/contract/test_documentation_index.py` writes llms.txt.
"""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
INDEX = DOCS / "README.md"
LLMS = ROOT / "llms.txt"
ROW = re.compile(r"^\| \[([\w./-]+)\]\(([\w./-]+)\) \| (.+) \|$")
HEADING = "## "
TITLE = re.compile(r"^# +(.+)$", re.MULTILINE)
HEAD = """# Flamingo Fleet

> Serves NVIDIA's Music Flamingo, a model that answers questions about music, on a fleet of
> single-GPU pods behind one OpenAI-compatible HTTP endpoint. Alpha; not yet run on a GPU.

- [README](README.md): a first fleet without a GPU, and requests by curl, command line and Python
"""


def llms():
    """Return the text of llms.txt, from the index."""
    lines = [HEAD]
    for line in INDEX.read_text(encoding="utf-8").splitlines():
        if line.startswith(HEADING):
            lines.append(f"{line}\n")
        elif row := ROW.match(line):
            _, link, about = row.groups()
            lines.append(f"- [{title(link)}](docs/{link}): {about}")
        elif line == "" and lines[-1].startswith("- ["):
            lines.append("")
    return "\n".join(lines) + "\n"


def title(link):
    """Return the heading of a page; of a folder its name."""
    if (DOCS / link).is_dir():
        return link.strip("/").capitalize()
    return TITLE.search((DOCS / link).read_text(encoding="utf-8"))[1]


def listed():
    rows = map(ROW.match, INDEX.read_text(encoding="utf-8").splitlines())
    return [row[2] for row in rows if row]


def test_the_index_lists_every_page_once_and_nothing_else():
    pages = {path.name for path in DOCS.glob("*.md")} - {INDEX.name}
    found = [one for one in listed() if one.endswith(".md")]
    assert sorted(found) == sorted(pages)


def test_llms_txt_is_the_index():
    assert LLMS.read_text(encoding="utf-8") == llms(), "run this file"


def test_every_link_of_llms_txt_leads_somewhere():
    links = re.findall(r"\]\(([^)]+)\)", LLMS.read_text(encoding="utf-8"))
    assert len(links) > len(listed())
    assert [link for link in links if not (ROOT / link).exists()] == []


if __name__ == "__main__":
    LLMS.write_text(llms(), encoding="utf-8")
