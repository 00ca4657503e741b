"""The examples in the documentation, run verbatim against a router and two pods."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from documents import pages, shape
from documents.selections import FLEET_PYTHON, FLEET_REFUSED, FLEET_SHELL, LOCAL, TERMINAL
from fakes.patience import PATIENCE_S

from flamingo_common.service import page
from flamingo_common.wire import routes

API = "docs/api.md"
FAILED = re.compile(r"^(\{\"error\"|HTTP/1.1 [45])", re.MULTILINE)


def scripts(selection):
    return [pytest.param(text, id=block.place) for block, text in selection.scripts()]


@pytest.fixture
def songs(tmp_path, clips):
    for kind in ("mp3", "flac"):
        (tmp_path / f"song.{kind}").write_bytes(clips[f"notes.{kind}"])
    (tmp_path / "songs").mkdir()
    (tmp_path / "songs" / "song.mp3").write_bytes(clips["notes.mp3"])
    return tmp_path


def run_example(command, text, fleet, songs):
    router, _ = fleet
    return subprocess.run(
        [*command, text.replace(LOCAL, router.address)],
        cwd=songs,
        env={
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
            "FLAMINGO_URL": router.address,
            "HOME": str(songs),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PATIENCE_S,
        check=True,
    ).stdout.decode()


@pytest.mark.parametrize("text", scripts(FLEET_SHELL))
def test_a_shell_example_succeeds(fleet, songs, text):
    output = run_example(["bash", "-euc"], text, fleet, songs)
    assert not FAILED.search(output)
    assert output.strip() or (songs / "song.npy").stat().st_size > 1000


@pytest.mark.parametrize("command", TERMINAL.commands(), ids=lambda command: command.place)
def test_a_terminal_of_the_readme_shows_what_is_printed(fleet, songs, command):
    (songs / "song.mp3").write_bytes((page.PACKAGE / "clips" / "clip.mp3").read_bytes())
    text = f"{command.text} 2>&1 || true"
    output = run_example(["bash", "-euc"], text, fleet, songs)
    assert shape.differences(without_model_output(command), output) == []


def without_model_output(command):
    """Return the lines of a terminal, with "…" for what is other with another CPU's rounding."""
    lines = [re.sub("^(first values).*", r"\1 …", line) for line in command.output]
    return ["…", *lines[1:]] if "flamingo caption song.mp3" in command.text else lines


@pytest.mark.parametrize("text", scripts(FLEET_REFUSED))
def test_a_refused_example_is_refused_as_documented(fleet, songs, text):
    assert '"invalid_request_error"' in run_example(["bash", "-euc"], text, fleet, songs)


def test_every_curl_is_run_and_every_route_has_one():
    taken = FLEET_SHELL.commands() + FLEET_REFUSED.commands()
    run_by_tests = "\n".join(one.text for one in taken if one.page == API)
    text = (pages.ROOT / API).read_text(encoding="utf-8")
    assert run_by_tests.count("curl ") == text.count("curl ")
    paths = set(re.findall(re.escape(LOCAL) + r"(/[\w/.-]*)", run_by_tests))
    for route in routes.ROUTER:
        path = route.path.replace("{id}", "flamingo-tiny").rstrip("/")
        assert path in paths or route.tag in {"Pages", "Batches"}, path


@pytest.mark.parametrize("text", scripts(FLEET_PYTHON))
def test_a_python_example_prints_something(fleet, songs, text):
    assert len(run_example([sys.executable, "-c"], text, fleet, songs)) > 20
