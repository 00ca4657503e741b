"""One name, one thing: classes are unique in a package, pure modules are checked, tests mirror."""

import ast
import re
import tomllib
from collections import defaultdict
from pathlib import Path

import pytest
from contract.packages import PACKAGES, ROOT

FOLDERS = {"common": "flamingo_common", "client": "flamingo"} | {
    name: f"flamingo_{name}" for name in ("router", "pod", "operator", "batches")
}
"""Where in tests/unit the tests of a package are."""
SAYS_PURE = re.compile(r"^(All pure|Pure)\b", re.MULTILINE)


def trees(package):
    root = PACKAGES[package]
    for path in sorted((root / package).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        yield name, ast.parse(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("package", PACKAGES)
def test_no_two_classes_of_a_package_share_a_name(package):
    homes = defaultdict(list)
    for module, tree in trees(package):
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                homes[node.name].append(module)
    assert {name: where for name, where in homes.items() if len(where) > 1} == {}


def pure_by_contract():
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (contract,) = (
        one
        for one in config["tool"]["importlinter"]["contracts"]
        if one["name"].startswith("pure modules")
    )
    return set(contract["source_modules"])


@pytest.mark.parametrize("package", PACKAGES)
def test_what_says_that_it_is_pure_is_under_the_purity_contract(package):
    covered = pure_by_contract()
    for module, tree in trees(package):
        if SAYS_PURE.search(ast.get_docstring(tree) or ""):
            parts = module.split(".")
            homes = {".".join(parts[:num]) for num in range(1, len(parts) + 1)}
            assert homes & covered, f"{module} says that it is pure, and no contract checks it"


def test_a_room_that_is_pure_is_one_entry():
    covered = pure_by_contract()
    nested = {one for one in covered for home in covered if one.startswith(home + ".")}
    assert nested == set(), "covered twice"


@pytest.mark.parametrize(
    "path",
    sorted((ROOT / "tests" / "unit").rglob("test_*.py")),
    ids=lambda path: str(path.relative_to(ROOT / "tests" / "unit")),
)
def test_a_unit_test_is_named_for_the_module_that_it_tests(path):
    """`test_policy.py`, or `test_policy_WHAT.py` where one file would be too long."""
    folder, *rooms, name = path.relative_to(ROOT / "tests" / "unit").parts
    package = FOLDERS[folder]
    home = PACKAGES[package] / package / Path(*rooms)
    modules = {one.stem.strip("_") for one in home.iterdir() if one.stem != "__init__"}
    tested = name.removeprefix("test_").removesuffix(".py")
    assert any(tested == one or tested.startswith(f"{one}_") for one in modules), (
        f"{home.relative_to(ROOT)} has no module {tested}"
    )
