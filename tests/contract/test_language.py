"""What people read is in the field's plain English: docs/glossary.md has its terms.

Looked at: every string of the packages (docstrings become `--help`, `kubectl explain` and
OpenAPI), the page, the docs, the CRD. The patterns are the worst of an idiom that was
replaced; they keep it from coming back, and do not make a text good.
"""

import ast
import io
import re
import tokenize

import pytest
from contract.packages import ROOT, SOURCES

PAGES = sorted(
    [
        ROOT / "README.md",
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "crds").glob("*.yaml"),
        *(ROOT / "helm").glob("*.md"),
        *(path for path in (ROOT / "helm").glob("*/*") if path.suffix in {".md", ".yaml"}),
        *(path for path in (ROOT / "helm").glob("*/templates/*") if path.name != "crd.yaml"),
        *(ROOT / "helm").glob("*/files/*"),
        *(ROOT / "common" / "flamingo_common" / "ui").rglob("*.js"),
        *(ROOT / "common" / "flamingo_common" / "ui").rglob("*.html"),
        *(
            ROOT / name / "Dockerfile"
            for name in ("router", "inference_pod", "operator", "batches")
        ),
    ]
)
IDIOM = re.compile(
    r"""
      (?<!\bthere\ )\b(?:is|are|was|were)\ no\ (?!longer\b|more\b|less\b)[a-z]
    | \b(?:told|untold|unsaid)\b
    | \b(?:is|are|was|were|be|been)\ heard\b
    | \bwho\ (?:leaves|comes|asks|waits)\b
    | \bas\ (?:much|many)\ .{1,40}\ as\ (?:it\ )?may\b
    | \bas\ good\ as\ down\b
    | \b(?:somebody|nobody|everybody)\b
    | \bin\ no\ format\b
    | \ba\ stranger\b
    | \bthe\ wish\b
    | \bto\ mend\b
    | \bmends?\b
    | \b(?:he|his|him|she|her)\b
    """,
    re.VERBOSE | re.IGNORECASE,
)


NAMES = {"heard", "mend", "somebody", "nobody", "stranger", "told", "unsaid", "victim"}
"""No part of an identifier."""


def texts(source):
    """Yield line and text of every string and comment."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def names(source):
    """Yield line and identifier of everything that is named."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.NAME:
            yield token.start[0], token.string


def found(text):
    return [" ".join(match[0].split()) for match in IDIOM.finditer(" ".join(text.split()))]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_strings_and_comments_are_plain_english(path):
    source = path.read_text(encoding="utf-8")
    assert [(line, hits) for line, text in texts(source) if (hits := found(text))] == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_names_are_the_fields(path):
    source = path.read_text(encoding="utf-8")
    assert [one for one in names(source) if NAMES & set(one[1].lower().split("_"))] == []


@pytest.mark.parametrize(
    "path", [one for one in PAGES if one.is_file()], ids=lambda path: str(path.relative_to(ROOT))
)
def test_pages_are_plain_english(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [(num, hits) for num, text in enumerate(lines, 1) if (hits := found(text))] == []


@pytest.mark.parametrize(
    "text",
    [
        "X is no address",
        "the routers told the demand",
        "no router was heard",
        "who leaves first",
        "as much waits for a pod as may",
        "3 to mend",
    ],
)
def test_the_old_idiom_is_found(text):
    assert found(text)


@pytest.mark.parametrize(
    "text", ["it is no longer ready", "it is no more than 4 KiB", "the other", "as many as 3"]
)
def test_plain_english_is_not(text):
    assert found(text) == []
