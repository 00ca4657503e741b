"""The version of a release, and what changed in it.

version.py check v0.1.0    compare a tag with pyproject.toml and CHANGELOG.md
version.py notes           print the section of this version in CHANGELOG.md
"""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
USAGE = "usage: version.py check TAG | version.py notes"
HEADING = re.compile(r"^## (?P<version>\S+)(?: \((?P<date>[^)]*)\))?$", re.MULTILINE)


def main(arguments: list[str]) -> int:
    """Run one of the two commands."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    match arguments:
        case ["check", tag]:
            found = faults(tag, project["version"], changelog)
            print("\n".join(found), file=sys.stderr, end="\n" if found else "")
            return 1 if found else 0
        case ["notes"]:
            print(notes(project["version"], changelog))
            return 0
    print(USAGE, file=sys.stderr)
    return 2


def faults(tag: str, version: str, changelog: str) -> list[str]:
    """Return why a tag is not one of this version, or why the changelog is not ready for it."""
    found = []
    if tag != f"v{version}":
        found.append(f"the tag is {tag}, but pyproject.toml has version {version}: tag v{version}")
    heading = HEADING.search(changelog)
    if heading is None or heading["version"] != version:
        found.append(f"CHANGELOG.md does not begin with version {version}")
    elif not re.fullmatch(r"\d{4}-\d\d-\d\d", heading["date"] or ""):
        found.append(f"CHANGELOG.md has no date of version {version}: ## {version} (YYYY-MM-DD)")
    return found


def notes(version: str, changelog: str) -> str:
    """Return what is under the heading of a version."""
    headings = list(HEADING.finditer(changelog))
    at = next(num for num, one in enumerate(headings) if one["version"] == version)
    end = headings[at + 1].start() if at + 1 < len(headings) else len(changelog)
    return changelog[headings[at].end() : end].strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
