"""A reader's terminal: runs the commands of a page in their order and compares what they print."""

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from documents import shape
from documents.blocks import Command

COMMAND_S = 300
APPEARS_S = 90
"""How long a state that a page shows may take to come."""
AGAIN_S = 0.3
KEEP_VARIABLES = """. {file}
set -a
{text}
status=$?
export -p > {file}
exit $status
"""
READS = (
    *("kubectl get ", "kubectl describe ", "kubectl explain ", "kubectl logs "),
    *(f"kubectl flamingo {verb} " for verb in ("status", "top", "history", "plan")),
    *("helm status ", "helm list", "helm history ", "flamingo fleet", "flamingo models"),
)
"""Commands that change nothing: they are repeated until they print what the page shows."""
SERVICES = tuple(f"flamingo {name} " for name in ("operator", "router", "serve", "up"))
FORWARDS = "Forwarding from 127.0.0.1"
"""What kubectl prints when a request may be sent; readers see it, too."""
LISTENS = '"event": "service.listening"'


@dataclass
class Terminal:
    """A folder and an environment in which a reader works; whoever makes it closes it."""

    folder: Path
    environ: Mapping[str, str]
    enter: tuple[str, ...] = ()
    """What to put before each program, such as what enters a network."""
    background: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.variables.touch()

    @property
    def variables(self) -> Path:
        """The variables that the commands have set: to a reader, all are one shell."""
        return self.folder / ".variables"

    def run(self, text: str) -> tuple[int, str]:
        """Return a command's exit status, and all that it prints."""
        done = subprocess.run(
            [*self.enter, "bash", "-c", KEEP_VARIABLES.format(text=text, file=self.variables)],
            cwd=self.folder,
            env=dict(self.environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=COMMAND_S,
            check=False,
        )
        return done.returncode, done.stdout.decode()

    def start(self, text: str, folder: Path | None = None) -> Path:
        """Start what goes on, here or in another folder; return the file to which it prints."""
        log = self.folder / f"background-{len(self.background)}.log"
        with log.open("wb") as sink:
            process = subprocess.Popen(
                [*self.enter, "bash", "-c", f". {self.variables}; exec {text}"],
                cwd=folder or self.folder,
                env=dict(self.environ),
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
            )
        self.background.append(process)
        return log

    def close(self) -> None:
        """End what was started and goes on."""
        for process in self.background:
            process.terminate()
        for process in self.background:
            process.wait(60)
        self.background.clear()

    def follow(self, command: Command) -> None:
        """Do as the page says; fail if the command does, or prints something else."""
        if command.file:
            file = self.folder / command.file
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(command.text, encoding="utf-8")
        elif command.text.endswith("&"):
            log = self.start(command.text.removesuffix("&"))
            ready = FORWARDS if " port-forward " in command.text else ""
            until(lambda: [] if ready in log.read_text() else [command.place, log.read_text()])
            until(lambda: _faults(command, 0, log.read_text()))
        elif command.text.startswith(SERVICES):
            log = self.start(command.text)
            until(lambda: [] if LISTENS in log.read_text() else [log.read_text()[-2000:]])
        elif command.text.startswith(READS) and command.output:
            until(lambda: _faults(command, *self.run(command.text)))
        else:
            _raise(_faults(command, *self.run(command.text)))


def _faults(command: Command, status: int, printed: str) -> list[str]:
    """Return how what happened differs from the page."""
    what = f"{command.place}: {command.text}"
    if command.output is None:
        return [f"{what}\nends with status {status}:\n{printed}"] if status else []
    shown = command.output
    if command.text.startswith("kubectl flamingo wait "):
        # What it prints on its way depends on when it looks; how it ends does not.
        shown, printed = tuple(_last(shown)), "\n".join(_last(printed.splitlines()))
    found = shape.differences(shown, printed)
    return [f"{what}\nprints something else (status {status}):", *found, printed] if found else []


def _last(lines: Iterable[str]) -> list[str]:
    return [line for line in lines if line.strip()][-1:]


def until(faults: Callable[[], list[str]]) -> None:
    """Return when there are no faults any more; raise those that there are in the end."""
    deadline_s = time.monotonic() + APPEARS_S
    while found := faults():
        if time.monotonic() > deadline_s:
            _raise(found)
        time.sleep(AGAIN_S)  # between two looks at a real program; no result depends on it


def _raise(faults: list[str]) -> None:
    assert not faults, "\n".join(faults)


@contextlib.contextmanager
def opened(
    folder: Path, environ: Mapping[str, str], enter: tuple[str, ...] = ()
) -> Iterator[Terminal]:
    """Yield a terminal; end what goes on in it afterwards."""
    terminal = Terminal(folder, environ, enter)
    try:
        yield terminal
    finally:
        terminal.close()
