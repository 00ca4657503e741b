"""Build the site of the documentation with Zensical: `make site`.

build_site.py [FOLDER]    write the site there; by default to build/site
"""

import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import site_pages

ROOT = Path(__file__).parents[1]
SETTINGS = """[project]
site_name = "Flamingo Fleet"
site_description = "Serves NVIDIA's Music Flamingo on a fleet of GPUs"
repo_url = "{repository}"
docs_dir = "docs"
nav = {nav}

[project.theme]
language = "en"
font = false  # a reader's browser asks no other host
features = ["content.code.copy", "navigation.footer", "navigation.sections", "navigation.top"]

[[project.theme.palette]]
media = "(prefers-color-scheme: light)"
scheme = "default"
toggle.icon = "lucide/sun"
toggle.name = "Switch to dark mode"

[[project.theme.palette]]
media = "(prefers-color-scheme: dark)"
scheme = "slate"
toggle.icon = "lucide/moon"
toggle.name = "Switch to light mode"

[project.markdown_extensions.tables]
[project.markdown_extensions.toc]
permalink = true
slugify = {{ object = "pymdownx.slugs.slugify", kwds = {{ case = "lower" }} }}
[project.markdown_extensions.pymdownx.highlight]
[project.markdown_extensions.pymdownx.superfences]
[project.markdown_extensions.pymdownx.inlinehilite]
"""


def main(arguments: list[str]) -> int:
    """Build the site; return the exit status of Zensical."""
    site = Path(arguments[0] if arguments else ROOT / "build" / "site").resolve()
    if importlib.util.find_spec("zensical") is None:
        print("build_site.py: Zensical is not installed; pip install '.[dev]'", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        pages = Path(folder)
        write_pages(pages)
        command = [sys.executable, "-m", "zensical", "build", "--strict"]
        built = subprocess.run(command, cwd=pages, check=False)
        if built.returncode == 0:
            shutil.rmtree(site, ignore_errors=True)
            shutil.copytree(pages / "site", site)
        return built.returncode


def write_pages(folder: Path) -> None:
    """Write the pages and the settings that Zensical reads."""
    docs = ROOT / "docs"
    titles = {}
    shutil.copytree(docs, folder / "docs")
    for path in sorted((folder / "docs").rglob("*.md")):
        name = path.relative_to(folder)
        text = path.read_text(encoding="utf-8")
        path.write_text(site_pages.page(text, name.as_posix()), encoding="utf-8")
        titles[path.relative_to(folder / "docs").as_posix()] = site_pages.title(text)
    index = (docs / site_pages.INDEX).read_text(encoding="utf-8")
    decisions = [one for one in titles if one.startswith("decisions/")]
    nav = json.dumps(site_pages.navigation(index, titles, decisions), ensure_ascii=False)
    settings = SETTINGS.format(repository=site_pages.REPOSITORY, nav=_toml(nav))
    (folder / "zensical.toml").write_text(settings, encoding="utf-8")


def _toml(nav: str) -> str:
    """Return JSON as TOML, whose tables have = instead of a colon after a quoted key."""
    return nav.replace('": ', '" = ')


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
