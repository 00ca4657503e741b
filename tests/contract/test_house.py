"""The house rules that no linter knows: docs/house-rules.md."""

import ast
import subprocess
import sys

import pytest
from contract.packages import PACKAGES, ROOT, SOURCES

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60


def test_the_operator_folder_is_no_package():
    # It would shadow the standard library's `operator`, and nothing would start.
    assert not (ROOT / "operator" / "__init__.py").exists()


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_are_short(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MAX_FILE_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno < MAX_FUNCTION_LINES, node.name


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_own_code_is_imported_at_the_top_or_not_at_all(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    top = {id(node) for node in tree.body}
    top |= {id(child) for node in tree.body if _is_transparent(node) for child in node.body}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom) and id(node) not in top:
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names]
            assert not any(name.partition(".")[0] in PACKAGES for name in names), ast.unparse(node)


def _is_transparent(node):
    is_for_types = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    return is_for_types or isinstance(node, ast.Try)


def test_half_of_all_functions_have_eight_lines_or_fewer():
    lengths = sorted(
        node.end_lineno - node.lineno + 1
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    assert lengths[len(lengths) // 2] <= 8


@pytest.mark.parametrize("package", ["flamingo", "flamingo.commands.app", "flamingo_router.app"])
def test_what_needs_no_gpu_imports_no_torch(package):
    program = (
        f"import sys, {package}; print(sorted({{'torch', 'transformers'}} & {{*sys.modules}}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout == b"[]\n"


@pytest.mark.parametrize(
    "service", ["flamingo_router.app", "flamingo_operator.operation", "flamingo_batches.app"]
)
def test_a_service_carries_neither_the_client_nor_its_arrays(service):
    names = "{'numpy', 'flamingo'}"
    program = f"import sys, {service}; print(sorted({names} & {{*sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout == b"[]\n"


def test_no_word_of_this_machine_is_in_the_tree():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, check=True)
    for name in listed.stdout.decode().splitlines():
        path = ROOT / name
        if path.suffix in {".py", ".md", ".toml", ".sh", ".yaml", ".txt", ".js", ".html", ".json"}:
            text = path.read_text(encoding="utf-8")
            for word in ("/" + "work/main", "/" + "root/", "/" + "home/"):
                assert word not in text, f"{name} names {word}"
