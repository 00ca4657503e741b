"""A real PostgreSQL server of its own, on a socket in a temporary directory."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from fakes.patience import PATIENCE_S
from fakes.wanted import absent

INSTALLATIONS = Path("/usr/lib/postgresql")
USER = "postgres"
NOT_DURABLE = ("fsync=off", "full_page_writes=off", "synchronous_commit=off")
"""The machine survives the tests, only processes are killed."""


def programs():
    """Return the directory of the newest server's programs; skip the test without one."""
    found = sorted(INSTALLATIONS.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else absent("PostgreSQL", "Debian: apt install postgresql")


@dataclass
class Postgres:
    """A server that can be stopped without a checkpoint, as by a crash, and started again."""

    folder: Path
    programs: Path
    process: subprocess.Popen | None = field(default=None)

    def start(self):
        options = [f"--{one}" for one in (*NOT_DURABLE, "listen_addresses=", "max_connections=60")]
        command = [self.programs / "postgres", "-D", self.folder / "data", "-k", self.folder]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, *options], stdout=log, stderr=log, **unprivileged()
            )
        while True:  # until it accepts connections; it answers at once that it is starting
            assert self.process.poll() is None, (self.folder / "log").read_text()
            with contextlib.suppress(psycopg.OperationalError):
                psycopg.connect(self.address()).close()
                return

    def crash(self):
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait(PATIENCE_S)

    def new_database(self):
        """Create an empty database; return its address."""
        name = f"batches_{uuid.uuid4().hex[:8]}"
        with psycopg.connect(self.address(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.address(name)

    def address(self, database="postgres"):
        return f"postgresql://{USER}@/{database}?host={self.folder}"


def unprivileged():
    """Return how a subprocess runs as another user than root, whom PostgreSQL refuses."""
    return {"user": USER, "group": USER, "extra_groups": []} if os.geteuid() == 0 else {}


@contextlib.contextmanager
def running():
    """Run a server; its directory is short, since the path of a socket is limited."""
    found = programs()
    folder = Path(tempfile.mkdtemp(prefix="flamingo-pg-"))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, USER, USER)
        command = [found / "initdb", "-D", folder / "data", "--auth=trust", "--no-sync"]
        subprocess.run(
            [*command, f"--username={USER}", "--encoding=UTF8", "--locale=C"],
            check=True,
            capture_output=True,
            cwd=folder,
            **unprivileged(),
        )
        server = Postgres(folder, found)
        server.start()
        try:
            yield server
        finally:
            server.crash()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
