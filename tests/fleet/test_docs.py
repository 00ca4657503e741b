"""The documentation's examples, run as they stand against a router and two pods."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ADDRESS = "http://127.0.0.1:8000"
STARTS_A_SERVICE = ("make ", "flamingo up", "flamingo serve", "flamingo router")


def blocks(language):
    return list(_blocks(language))


def _blocks(language):
    for path in (ROOT / "README.md", ROOT / "docs" / "api.md"):
        for number, (found, text) in enumerate(BLOCK.findall(path.read_text(encoding="utf-8"))):
            if found == language and not any(word in text for word in STARTS_A_SERVICE):
                yield pytest.param(text, id=f"{path.stem}-{number}")


@pytest.fixture
def songs(tmp_path, clips):
    for kind in ("mp3", "flac"):
        (tmp_path / f"song.{kind}").write_bytes(clips[f"notes.{kind}"])
    return tmp_path


def run(command, text, fleet, songs):
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
def test_a_shell_example_does_what_it_says(fleet, songs, text):
    shown = run(["bash", "-euc"], text, fleet, songs)
    assert '"error"' not in shown
    assert shown.strip() or (songs / "song.npy").stat().st_size > 1000


@pytest.mark.parametrize("text", blocks("python"))
def test_a_python_example_does_what_it_says(fleet, songs, text):
    assert len(run([sys.executable, "-c"], text, fleet, songs)) > 20
