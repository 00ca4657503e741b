"""What `helm test` runs: wait until the fleet is ready, then send it one clip."""

import io
import math
import os
import struct
import sys
import time
import urllib.error
import urllib.request
import wave

from flamingo import FlamingoClient, FlamingoError

RATE, SECONDS = 16_000, 2


def tone() -> bytes:
    """Return a WAV file with a tone of 440 Hz."""
    samples = (int(9000 * math.sin(math.tau * 440 * at / RATE)) for at in range(RATE * SECONDS))
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((1, 2, RATE, 0, "NONE", ""))
        out.writeframes(b"".join(struct.pack("<h", sample) for sample in samples))
    return file.getvalue()


def why_not_ready(url: str) -> str:
    """Return why the fleet is not ready; empty if it is."""
    try:
        with urllib.request.urlopen(f"{url}/health/ready", timeout=10):  # noqa: S310 - ours
            return ""
    except urllib.error.HTTPError as error:
        return error.read(1000).decode(errors="replace").strip() or str(error)
    except OSError as error:
        return f"{url}: {error}"


def wait_until_ready(url: str, timeout_s: float) -> None:
    """Return when the fleet is ready, or exit with the reason."""
    deadline, said = time.monotonic() + timeout_s, ""
    while why := why_not_ready(url):
        if why != said:
            print(f"not ready: {why}", flush=True)
            said = why
        if time.monotonic() >= deadline:
            sys.exit(f"FAILED: the fleet was not ready within {timeout_s:g} s: {why}")
        time.sleep(1)
    print(f"ready: {url}", flush=True)


def main() -> None:
    """Test the fleet, and exit with status 1 and the reason if something fails."""
    url = os.environ["FLAMINGO_URL"]
    wait_until_ready(url, float(os.environ["TIMEOUT_SECONDS"]))
    if os.environ.get("NO_KEY"):
        print("PASSED, without a clip: set tests.apiKeySecretRef to send one")
        return
    try:
        with FlamingoClient() as client, client.stream_caption(tone(), max_tokens=16) as stream:
            text = "".join(stream)
            usage = stream.usage
    except FlamingoError as error:
        sys.exit(f"FAILED: {type(error).__name__}: {error}")
    if not text or usage is None:
        sys.exit("FAILED: the caption is empty")
    print(f"caption: {text!r} ({usage.completion_tokens} tokens)")
    print("PASSED")


main()
