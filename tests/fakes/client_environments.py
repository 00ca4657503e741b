"""Environments of other projects' clients: installed once from pinned versions, then reused."""

import functools
import hashlib
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest
import uv

FOLDER = Path(__file__).parents[1] / "fleet" / "clients"
INSTALLED = FOLDER.parents[2] / ".clients"
INSTALL_S = 240
NODE_MAJOR = 22
NPM_CI = ("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error")


@functools.cache
def python(name: str) -> Path:
    """Return the interpreter of the environment that `python/NAME.txt` describes."""
    pins = FOLDER / "python" / f"{name}.txt"
    folder = INSTALLED / f"{name}-{_digest(pins)}"
    interpreter = folder / "bin" / "python"
    if not folder.exists():
        partial = _partial(folder)
        _run(sys.executable, "-m", "venv", "--without-pip", partial)
        _run(
            *(uv.find_uv_bin(), "pip", "install", "--quiet", "--no-deps", "--requirement", pins),
            *("--python", partial / "bin" / "python"),
        )
        partial.rename(folder)
    return interpreter


@functools.cache
def node_modules() -> Path:
    """Return the folder of the JavaScript packages that `js/package-lock.json` describes."""
    lock = FOLDER / "js" / "package-lock.json"
    folder = INSTALLED / f"js-{_digest(lock)}"
    if not folder.exists():
        partial = _partial(folder)
        partial.mkdir()
        for name in ("package.json", "package-lock.json"):
            shutil.copy(lock.with_name(name), partial)
        _run(*NPM_CI, cwd=partial)
        partial.rename(folder)
    return folder / "node_modules"


@functools.cache
def node() -> Path:
    """Return the Node.js that npm installed or, where it has none, the machine's."""
    machine = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), "")
    installed = node_modules() / f"node-linux-{machine}" / "bin" / "node"
    if installed.exists():
        return installed
    found = shutil.which("node")
    version = _run(found, "--version") if found else "v0"
    if int(version.removeprefix("v").partition(".")[0]) < NODE_MAJOR:
        _skip_or_fail(f"the clients need Node.js {NODE_MAJOR} or newer")
    return Path(str(found))


def _digest(path: Path) -> str:
    content = path.read_bytes() + sys.version.encode()
    return hashlib.sha256(content).hexdigest()[:12]


def _partial(folder: Path) -> Path:
    """Return where to install; removes what earlier versions of the environment have left."""
    kind = folder.name.rpartition("-")[0]
    for old in INSTALLED.glob(f"{kind}-*"):
        shutil.rmtree(old)
    INSTALLED.mkdir(exist_ok=True)
    return folder.with_name(f"{folder.name}-partial")


def _run(*command: object, cwd: Path | None = None) -> str:
    """Return what a command prints; a command that failed is not tried again."""
    printed, failure = _ran(tuple(map(str, command)), cwd)
    if failure:
        _skip_or_fail(failure)
    return printed


@functools.cache
def _ran(command: tuple[str, ...], cwd: Path | None) -> tuple[str, str]:
    """Return what a command prints, and why it failed, or nothing."""
    if shutil.which(command[0]) is None:
        return "", f"{command[0]} is not installed; Debian: apt install nodejs npm"
    try:
        done = subprocess.run(
            command, cwd=cwd, capture_output=True, text=True, timeout=INSTALL_S, check=True
        )
    except subprocess.TimeoutExpired:
        return "", f"{command[0]} did not install the clients in {INSTALL_S} s"
    except subprocess.CalledProcessError as error:
        return "", f"{command[0]} could not install the clients: {error.stderr}"
    return done.stdout, ""


def _skip_or_fail(reason: str) -> NoReturn:
    if os.environ.get("FLAMINGO_REQUIRE_ALL") == "1":
        pytest.fail(reason)
    pytest.skip(reason)
