"""The examples in the documentation, run verbatim against a router and two pods."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from flamingo_common.wire import routes

ROOT = Path(__file__).parents[2]
API = ROOT / "docs" / "api.md"
BLOCK = re.compile(r"^```(\w+(?: refused)?)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FAILED = re.compile(r"^(\{\"error\"|HTTP/1.1 [45])", re.MULTILINE)
ADDRESS = "http://127.0.0.1:8000"
STARTS_A_SERVICE = ("make ", "flamingo up", "flamingo serve", "flamingo router")


def blocks(language):
    return list(_blocks(language))


def _blocks(language):
    for path in (ROOT / "README.md", API):
        for number, (found, text) in enumerate(BLOCK.findall(path.read_text(encoding="utf-8"))):
            if found == language and not any(command in text for command in STARTS_A_SERVICE):
                yield pytest.param(text, id=f"{path.stem}-{number}")


@pytest.fixture
def songs(tmp_path, clips):
    for kind in ("mp3", "flac"):
        (tmp_path / f"song.{kind}").write_bytes(clips[f"notes.{kind}"])
    return tmp_path


def run_example(command, text, fleet, songs):
    router, _ = fleet
    return subprocess.run(
        [*command, text.replace(ADDRESS, router.address)],
        cwd=songs,
        env={
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
            "FLAMINGO_URL": router.address,
            "HOME": str(songs),
        },
        capture_output=True,
        timeout=60,
        check=True,
    ).stdout.decode()


@pytest.mark.parametrize("text", blocks("sh"))
def test_a_shell_example_succeeds(fleet, songs, text):
    output = run_example(["bash", "-euc"], text, fleet, songs)
    assert not FAILED.search(output)
    assert output.strip() or (songs / "song.npy").stat().st_size > 1000


@pytest.mark.parametrize("text", blocks("sh refused"))
def test_a_refused_example_is_refused_as_documented(fleet, songs, text):
    assert '"unsupported_parameter"' in run_example(["bash", "-euc"], text, fleet, songs)


def test_every_curl_is_run_and_every_route_has_one():
    text = API.read_text(encoding="utf-8")
    run_by_tests = "\n".join(found for kind, found in BLOCK.findall(text) if kind.startswith("sh"))
    assert run_by_tests.count("curl ") == text.count("curl ")
    paths = set(re.findall(re.escape(ADDRESS) + r"(/[\w/.-]*)", run_by_tests))
    for route in routes.ROUTER:
        path = route.path.replace("{id}", "flamingo-tiny").rstrip("/")
        assert path in paths or route.tag == "Pages", path


@pytest.mark.parametrize("text", blocks("python"))
def test_a_python_example_prints_something(fleet, songs, text):
    assert len(run_example([sys.executable, "-c"], text, fleet, songs)) > 20
