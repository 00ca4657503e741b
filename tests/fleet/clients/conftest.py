"""The clients, each run once as a program of its own; what came of each case."""

import asyncio
import contextlib
import functools
import json
import shutil

import pytest
from fakes import calling_checkpoint, client_environments, clients, pods, processes

from flamingo_common import errors

PROGRAMS = client_environments.FOLDER / "programs"
MODEL = "flamingo-tiny"


@pytest.fixture(scope="session")
def routers(fleet, tmp_path_factory):
    """The environment of a program: the addresses of a fleet and of routers that refuse or wait."""
    folder = tmp_path_factory.mktemp("clients")
    (folder / "keys").write_text(json.dumps({"keys": [{"name": "alice", "sha256": "0" * 64}]}))
    overloaded = errors.Overloaded("busy", retry_after_s=0.01)
    started = {
        "CLOSED": (pods.FakePod(model=MODEL), "--key-file", str(folder / "keys")),
        "BUSY": (pods.FakePod(model=MODEL, fails_with=overloaded),),
        "SLOW": (pods.FakePod(model=MODEL, waits_after_words=1, release=asyncio.Event()),),
    }
    with contextlib.ExitStack() as stack:
        environ = {"FLEET": fleet[0].address}
        for name, (pod, *flags) in started.items():
            endpoint = ("--endpoint", stack.enter_context(pods.served(pod)))
            router = stack.enter_context(
                processes.service("flamingo_router", *endpoint, *flags, log=folder / name)
            )
            processes.wait_until_ready(router)
            environ[name] = router.address
        environ["CALLING"] = stack.enter_context(_calling(folder))
        no_calls = calling_checkpoint.bias_against_calls(has_marks=True)
        environ["NO_CALLS"] = json.dumps(no_calls)
        yield environ


@contextlib.contextmanager
def _calling(folder):
    """Yield the address of a router before a pod whose model calls a function by itself."""
    model = calling_checkpoint.write(folder / "calling", has_marks=True)
    flags = ("--model", str(model), "--served-model-name", MODEL, "--enable-auto-tool-choice")
    with processes.service("flamingo_pod", *flags, log=folder / "calling-pod") as pod:
        processes.wait_until_ready(pod)
        endpoint = ("--endpoint", pod.address)
        with processes.service("flamingo_router", *endpoint, log=folder / "calls") as router:
            processes.wait_until_ready(router)
            yield router.address


@pytest.fixture(scope="session")
def folder_of(tmp_path_factory, clips):
    """Return the folder where the programs of a client are, with the song and what they import."""

    def make(environment, suffix):
        folder = tmp_path_factory.mktemp("programs")
        (folder / "song.mp3").write_bytes(clips["notes.mp3"])
        for program in PROGRAMS.glob(f"*{suffix}"):
            shutil.copy(program, folder)
        if suffix == ".mjs":
            _link_packages(folder / "node_modules", environment)
        return folder

    made = functools.cache(make)
    return lambda client: made(client.environment, client.suffix)


def _link_packages(folder, openai):
    """Link the packages, with the chosen version of `openai` under this name."""
    folder.mkdir()
    installed = client_environments.node_modules()
    for package in installed.iterdir():
        if not package.name.startswith("openai"):
            (folder / package.name).symlink_to(package)
    (folder / "openai").symlink_to(installed / openai)


@pytest.fixture(scope="session")
def outcomes(routers, folder_of):
    """Return what came of each case of a client; its program runs at the first call."""

    def run(name):
        client = (clients.CLIENTS | clients.MORE)[name]
        printed = client.run(folder_of(client) / client.program, routers)
        return json.loads(printed.splitlines()[-1])

    return functools.cache(run)
