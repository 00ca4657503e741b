"""The web page has the client's ready taxonomies in a script; running this file writes it.

The page has no client, and a server that serves it need not have one either.
"""

import json
from pathlib import Path

from flamingo.client import taxonomies

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "common" / "flamingo_common" / "ui" / "tags" / "taxonomies.js"
ORDER = ("genre", "mood", "instruments", "voice", "language", "era", "use")
HEAD = """/**
 * The ready taxonomies of the Python client, with the questions of a request for decisions.
 * Written by `python tests/contract/test_taxonomies_of_the_page.py` from the files of the client.
 *
 * @type {import("./tags.js").Taxonomy[]}
 */
export const TAXONOMIES = [
"""


def to_json(value):
    return json.dumps(value, ensure_ascii=False)


def written(name):
    taxonomy = taxonomies.load(name)
    labels = [each.label for each in taxonomy.labels]
    questions = "".join(f"      {to_json(each)},\n" for each in taxonomy.questions())
    return (
        f"  {{\n    name: {to_json(name)},\n    labels: {to_json(labels)},\n"
        f"    questions: [\n{questions}    ],\n  }},\n"
    )


def script():
    return HEAD + "".join(map(written, ORDER)) + "];\n"


def test_the_page_has_every_ready_taxonomy():
    assert sorted(ORDER) == taxonomies.ready_names()


def test_the_script_is_what_the_taxonomies_say():
    assert SCRIPT.read_text(encoding="utf-8") == script(), f"run: python {Path(__file__).name}"


if __name__ == "__main__":
    SCRIPT.write_text(script(), encoding="utf-8")
