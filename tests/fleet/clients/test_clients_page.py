"""The examples of `docs/clients.md`, run verbatim, and the table of `docs/api.md` about them."""

import itertools
import json
import re
from pathlib import Path

import pytest
from documents import selections
from fakes import client_environments
from fakes.clients import CLIENTS

ROOT = Path(__file__).parents[3]
BLOCKS = selections.CLIENTS.commands()
SETUP = {one.language: one.text for one in BLOCKS if one.info == "setup"}
EXAMPLES = {one.info: SETUP[one.language] + one.text for one in BLOCKS if one.info != "setup"}
ALSO = {"openai-js-6": "openai-js"}
"""Versions for which the page says that an example of another one works."""
TABLE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8").partition("\n## Clients\n")[2]
ROWS = re.findall(r"^\| ([A-Z][^|]*) \| (`[^|]+) \| (.+) \|$", TABLE, re.MULTILINE)


def pins():
    """Return the pinned versions of each package."""
    found = {}
    for file in (client_environments.FOLDER / "python").glob("*.txt"):
        for name, version in re.findall(r"^([\w-]+)==([\w.]+)", file.read_text(), re.MULTILINE):
            found.setdefault(name, set()).add(version)
    lock = json.loads((client_environments.FOLDER / "js" / "package-lock.json").read_text())
    for path, package in lock["packages"].items():
        name = path.removeprefix("node_modules/").removesuffix("-6")
        found.setdefault(name, set()).add(package.get("version"))
    return found


def test_the_page_has_an_example_for_every_client():
    assert {*EXAMPLES, *ALSO} == set(CLIENTS)


@pytest.mark.parametrize("name", CLIENTS)
def test_an_example_prints_an_answer_and_an_object(folder_of, routers, name):
    client = CLIENTS[name]
    program = folder_of(client) / f"example{client.suffix}"
    text = EXAMPLES[ALSO.get(name, name)].replace(selections.LOCAL, routers["FLEET"])
    program.write_text(text, encoding="utf-8")
    assert re.search(r"genre\W{1,4}(rock|pop|jazz)", client.run(program, {}))


def test_the_table_has_the_versions_that_are_tested():
    documented = {}
    for _, packages, _ in ROWS:
        for name, versions in re.findall(r"`([@\w/-]+)` ([\d.]+(?:, [\d.]+)*)", packages):
            documented.setdefault(name, set()).update(versions.split(", "))
    assert documented == {name: pins()[name] for name in documented}
    assert {"openai", "litellm", "ai"} <= set(documented)


def test_each_line_of_the_table_is_in_an_example_that_is_run():
    lines = itertools.chain.from_iterable(re.findall(r"`([^`]+)`", line) for _, _, line in ROWS)
    texts = [*EXAMPLES.values()]
    assert [line for line in lines if not any(line in text for text in texts)] == []
    assert len(ROWS) == 8
