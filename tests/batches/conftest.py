import contextlib
import itertools
import json

import pytest
from fakes import postgres
from fakes.batch_service import BatchService
from fakes.echo_fleet import EchoFleet
from fakes.key_files import entry


@pytest.fixture(scope="session")
def server():
    with postgres.running() as running:
        yield running


NUM_KEYS = 100
LIMITS = ("--max-file-bytes", "100000", "--max-lines", "12")


def new_database(request, kind, folder):
    """Return the address of an empty database."""
    if kind == "sqlite":
        return f"sqlite:///{folder}/batches.db"
    return request.getfixturevalue("server").new_database()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request, tmp_path):
    """The address of an empty database of each kind."""
    return new_database(request, request.param, tmp_path)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def shared(request, tmp_path_factory):
    """A replica on each database and the fleet behind it, for tests that have a key each."""
    folder = tmp_path_factory.mktemp("shared")
    names = (f"key-{number}" for number in range(NUM_KEYS))
    key_file = folder / "keys"
    key_file.write_text(json.dumps({"keys": [entry(name, f"fk-{name}") for name in names]}))
    stores = ("--database-url", new_database(request, request.param, folder))
    flags = (*stores, "--contents-url", str(folder / "contents"), "--key-file", str(key_file))
    with EchoFleet().serving() as behind:
        service = BatchService(folder, ("--server-url", behind.address, *flags, *LIMITS))
        service.start()
        yield service, behind
        service.stop()


@pytest.fixture(scope="session")
def unused_keys():
    return itertools.cycle(f"fk-key-{number}" for number in range(NUM_KEYS))


@pytest.fixture
def client(shared, unused_keys):
    """A client of the shared replica with a key that no other test has."""
    service, behind = shared
    behind.reset()
    return service.client.with_options(api_key=next(unused_keys))


@pytest.fixture
def behind(shared):
    """The fleet behind the shared replica."""
    return shared[1]


@pytest.fixture
def fleet():
    with EchoFleet().serving() as running:
        yield running


@pytest.fixture
def replica(tmp_path):
    """Return a replica that is not started; its processes end with the test."""
    with contextlib.ExitStack() as stack:

        def make(fleet_address, database, *flags, key="none"):
            number = len([*tmp_path.glob("replica-*")])
            folder = tmp_path / f"replica-{number}"
            folder.mkdir()
            contents = tmp_path / "contents"
            stores = ("--database-url", database, "--contents-url", str(contents))
            flags = ("--server-url", fleet_address, *stores, *flags)
            made = BatchService(folder, flags, key)
            stack.callback(made.stop)
            return made

        yield make


@pytest.fixture
def service(fleet, database, replica):
    """A replica of the service before a fleet that echoes, on each database."""
    made = replica(fleet.address, database)
    made.start()
    return made
