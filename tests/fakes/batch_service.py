"""The service of batches as a real process that can be killed, and what a client does with it."""

import contextlib
import json
import time
from dataclasses import dataclass, field
from pathlib import Path

import openai
from fakes import processes
from fakes.patience import PATIENCE_S

CHAT = "/v1/chat/completions"
CAPTIONS = "/v1/audio/captions"
ENDED = {"completed", "failed", "expired", "cancelled"}
QUICK = ("--poll-interval-s", "0.1", "--lease-s", "1", "--max-concurrency", "16")


@dataclass
class BatchService:
    """One replica; after `kill`, `start` runs another process with the same settings."""

    folder: Path
    flags: tuple[str, ...]
    key: str = "none"
    environ: dict[str, str] = field(default_factory=dict)
    num_starts: int = 0
    running: processes.Service | None = None
    client: openai.OpenAI | None = None
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def start(self, *flags):
        self.num_starts += 1
        log = self.folder / f"log-{self.num_starts}"
        flags = (*QUICK, *self.flags, *flags)
        started = processes.service("flamingo_batches", *flags, log=log, environ=self.environ)
        self.running = self._stack.enter_context(started)
        processes.wait_until_ready(self.running)
        self.client = openai.OpenAI(base_url=f"{self.running.address}/v1", api_key=self.key)
        return self.client

    def kill(self):
        """Kill the process, as by a lack of memory."""
        self.running.process.kill()
        self.running.process.wait()
        with contextlib.suppress(AssertionError):  # its exit status is not 0
            self._stack.close()

    def stop(self):
        """Stop the process; it must end in good order."""
        self._stack.close()


def question(number, text="", **body):
    """Return a line of a batch of chats."""
    messages = [{"role": "user", "content": f"question {number} {text}"}]
    return {
        "custom_id": f"line-{number}",
        "method": "POST",
        "url": CHAT,
        "body": {"messages": messages, **body},
    }


def upload(client, lines):
    """Upload lines, which are objects or text, as the input of a batch; return its id."""
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    file = client.files.create(file=("lines.jsonl", "\n".join(texts).encode()), purpose="batch")
    return file.id


def create(client, lines, endpoint=CHAT, **options):
    """Upload lines, and create a batch of them."""
    return client.batches.create(
        input_file_id=upload(client, lines),
        endpoint=endpoint,
        completion_window="24h",
        **options,
    )


def wait(client, batch_id, until=lambda batch: batch.status in ENDED):
    """Return the batch when it is as wanted."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not until(batch := client.batches.retrieve(batch_id)):
        assert time.monotonic() < deadline_s, batch
        time.sleep(0.05)  # between two requests to a real process; no result depends on it
    return batch


def lines_of(client, file_id):
    """Return the lines of a result file."""
    if file_id is None:
        return []
    return [json.loads(line) for line in client.files.content(file_id).text.splitlines()]


def assert_exact(client, batch, lines):
    """Check that each line was answered, and is in the output once."""
    assert batch.status == "completed", batch
    counts = batch.request_counts
    assert (counts.total, counts.completed, counts.failed) == (len(lines), len(lines), 0)
    results = lines_of(client, batch.output_file_id)
    answers = {each["custom_id"]: each["response"]["body"]["echo"] for each in results}
    assert len(results) == len(lines)
    assert answers == {line["custom_id"]: line["body"] for line in lines}
    assert batch.error_file_id is None
